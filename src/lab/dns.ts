/**
 * The cluster's resolver: answers for the lab's service names, in one pod, over UDP.
 * @module
 */
import { answerQuery } from './dns-message.ts';
import { openDatagramSocket } from './namespace-sockets.ts';

export const CLUSTER_DOMAIN = 'cluster.local';

export async function serveDns(
  netns: string,
  port: number,
  records: ReadonlyMap<string, string>,
): Promise<void> {
  const socket = await openDatagramSocket(netns, '0.0.0.0', port);
  socket.on('message', (query, from) => {
    const answer = answerQuery(query, records, CLUSTER_DOMAIN);
    if (answer !== null) socket.send(answer, from.port, from.address);
  });
  // A port that is closed by the time the answer arrives is the asker's affair.
  socket.on('error', () => {});
}
