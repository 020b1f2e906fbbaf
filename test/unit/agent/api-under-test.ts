/**
 * The API server a test talks to: ours, in this process, or a real one named by KILOWIRE_TEST_KUBECONFIG.
 * @module
 */
import { ApiServer, type ApiServerOptions } from '../../../src/agent/api-server/api-server.ts';
import { KubernetesClient } from '../../../src/agent/kubernetes/client.ts';
import { clusterAccess } from '../../../src/agent/kubernetes/kubeconfig.ts';
import type { KubernetesObject, ResourceType } from '../../../src/agent/kubernetes/resources.ts';

export const realKubeconfig = process.env.KILOWIRE_TEST_KUBECONFIG ?? '';

export interface ApiUnderTest {
  readonly client: KubernetesClient;
  /** Null for a real one: it cannot be told to compact, stop or fall silent. */
  readonly server: ApiServer | null;
  readonly end: () => Promise<void>;
}

export async function startApi(options: ApiServerOptions = {}): Promise<ApiUnderTest> {
  const real = realKubeconfig !== '';
  const server = real ? null : new ApiServer(options);
  const access =
    server === null
      ? await clusterAccess({ kubeconfig: realKubeconfig, environment: process.env })
      : { server: await server.listen(), credentials: async () => ({}) };
  const client = new KubernetesClient(access, { userAgent: 'kilowire-test' });
  return {
    client,
    server,
    end: async () => {
      client.close();
      await server?.close();
    },
  };
}

/** Gone or not, it is gone afterwards. */
export const remove = async <Item extends KubernetesObject>(
  client: KubernetesClient,
  type: ResourceType<Item>,
  name: string,
  namespace?: string,
): Promise<void> => {
  try {
    await client.delete(type, name, namespace);
  } catch {
    // it was not there
  }
};
