/**
 * ADD: attach the container, tell the result.
 * @module
 */
import { attach } from '../attachment.ts';
import { openNetns } from '../netns.ts';
import { parseNetworkConfig } from '../network-config.ts';
import type { Environment, Request } from '../request.ts';
import { resultDocument } from '../result.ts';

export function add(request: Request, env: Environment): string {
  const config = parseNetworkConfig(request, env);
  const netns = openNetns(request.netns);
  try {
    return JSON.stringify(resultDocument(attach(request, config, netns), request.cniVersion));
  } finally {
    netns.close();
  }
}
