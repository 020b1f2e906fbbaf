/**
 * How a world starts the agent of one of its nodes.
 * @module
 */
import { join } from 'node:path';
import { root } from './host.ts';

export interface AgentPlace {
  readonly name: string;
  /** The node's own: state, conflist, and by KILOWIRE_UAPI_DIR the control socket. */
  readonly directory: string;
  /** The API server. */
  readonly master: string;
}

export const agentCommand = ({ name, directory, master }: AgentPlace, ...flags: string[]): string[] => [
  process.execPath,
  join(root, 'src/cli/main.ts'),
  'agent',
  `--hostname=${name}`,
  `--master=${master}`,
  `--state-directory=${directory}`,
  `--cni-path=${join(directory, '10-kilo.conflist')}`,
  ...flags,
];
