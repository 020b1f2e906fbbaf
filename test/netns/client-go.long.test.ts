/**
 * Our API server as Kubernetes' own client library finds it: discovery, informers (lists, watches, bookmarks) over TLS with a
 * token, strategic merge and JSON patches, CRDs. The same program says the same of a real API server named by
 * KILOWIRE_TEST_KUBECONFIG. The program is test/netns/client-go/main.go.
 * @module
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { ApiServer } from '../../src/agent/api-server/api-server.ts';
import { PEER_DEFINITION } from '../../src/agent/peer-definition.ts';
import { selfSigned } from '../../src/lab/certificate.ts';
import { Folder, root } from './host.ts';
import { clientGo } from './toolchains.ts';

const program = await clientGo(join(root, 'test/netns/client-go'));
const real = process.env.KILOWIRE_TEST_KUBECONFIG;

describe.skipIf(program === undefined)('client-go', () => {
  const folder = new Folder();
  afterAll(() => folder.remove());

  it('gets along with the API server', async () => {
    const tls = selfSigned('kubernetes', '127.0.0.1', Date.now());
    const api = new ApiServer({ tls, token: 'let-me-in', bookmarkMs: 1000 });
    api.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', PEER_DEFINITION);
    const { href } = await api.listen();
    const authority = Buffer.from(tls.certificate).toString('base64');
    const kubeconfig =
      real ??
      folder.write(
        'kubeconfig',
        `apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "${href}", certificate-authority-data: ${authority}}}]
users: [{name: u, user: {token: let-me-in}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`,
      );
    try {
      const { stdout } = await promisify(execFile)(program ?? '', [kubeconfig], { timeout: 90_000 });
      expect(stdout.split('\n').filter((line) => line !== '')).toEqual([
        'crd peers.kilo.squat.ai',
        expect.stringMatching(/^version 1\.\d+$/),
        'serves Peer',
        'synced',
        'node added kilowire-n1',
        'node updated kilowire-n1 1795233627',
        'node updated kilowire-n1',
        'removed twice is refused: true',
        'peer added kilowire-p1',
        'peer deleted kilowire-p1',
        'node deleted kilowire-n1',
      ]);
    } finally {
      await api.close();
    }
  });
});
