/**
 * What a Kubernetes API does with the requests of a mesh agent. Runs against our server, and against a real one when
 * KILOWIRE_TEST_KUBECONFIG names its kubeconfig: both have to behave alike.
 * Source: Kubernetes API concepts; measured behaviour of a kube-apiserver 1.35.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WatchEvent } from '../../../src/agent/kubernetes/client.ts';
import { KubernetesError } from '../../../src/agent/kubernetes/kubernetes-error.ts';
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  EVENTS,
  LEASES,
  NODES,
  type NodeResource,
  PEERS,
} from '../../../src/agent/kubernetes/resources.ts';
import { PEER_DEFINITION } from '../../../src/agent/peer-definition.ts';
import { type ApiUnderTest, remove, startApi } from './api-under-test.ts';

const TAG = 'kwn-test';
const LABEL = { 'kilowire.dev/test': TAG };
const mine = { labelSelector: `kilowire.dev/test=${TAG}` };
const node = (name: string): NodeResource => ({ metadata: { name: `${TAG}-${name}`, labels: LABEL } });

/** Retries what an API that has just been given a CRD answers with 429 or 404. */
const settled = async <T>(work: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (
        !(error instanceof KubernetesError) ||
        !['ERR_KUBERNETES_BUSY', 'ERR_KUBERNETES_NOT_FOUND'].includes(error.code)
      )
        throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(error.retryAfterMs ?? 50, 1000)));
    }
  }
};

const failure = async (work: Promise<unknown>): Promise<KubernetesError> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof KubernetesError) return error;
    throw error;
  }
  throw new Error('it was expected to be refused');
};

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApi();
  for (const { metadata } of (await api.client.list(NODES, mine)).items)
    await api.client.delete(NODES, metadata.name);
});
afterAll(async () => {
  for (const { metadata } of (await api.client.list(NODES, mine)).items)
    await api.client.delete(NODES, metadata.name);
  await api.end();
});

describe('nodes', () => {
  it('are created with a uid and a version, and read back', async () => {
    const created = await api.client.create(NODES, node('read'));
    expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(created.kind).toBe('Node');
    const read = await api.client.get(NODES, created.metadata.name);
    expect(read.metadata.resourceVersion).toBe(created.metadata.resourceVersion);
  });

  it('cannot be created twice', async () => {
    await api.client.create(NODES, node('twice'));
    const error = await failure(api.client.create(NODES, node('twice')));
    expect([error.code, error.reason, error.status]).toEqual([
      'ERR_KUBERNETES_CONFLICT',
      'AlreadyExists',
      409,
    ]);
  });

  it('take a merge patch, in which null deletes', async () => {
    const { metadata } = await api.client.create(NODES, {
      metadata: {
        ...node('patched').metadata,
        annotations: { 'kilo.squat.ai/key': 'old', 'kilo.squat.ai/leader': '' },
      },
    });
    const patched = await api.client.patch(NODES, metadata.name, {
      metadata: { annotations: { 'kilo.squat.ai/key': 'new', 'kilo.squat.ai/leader': null } },
    });
    expect(patched.metadata.annotations?.['kilo.squat.ai/key']).toBe('new');
    expect(patched.metadata.annotations).not.toHaveProperty(['kilo.squat.ai/leader']);
  });

  it('keep their version under a patch that changes nothing', async () => {
    const { metadata } = await api.client.create(NODES, node('same'));
    const patched = await api.client.patch(NODES, metadata.name, { metadata: { labels: LABEL } });
    expect(patched.metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  it('refuse a patch made for an older version', async () => {
    const { metadata } = await api.client.create(NODES, node('stale'));
    await api.client.patch(NODES, metadata.name, { metadata: { annotations: { a: '1' } } });
    const stale = { metadata: { resourceVersion: metadata.resourceVersion, annotations: { a: '2' } } };
    const error = await failure(api.client.patch(NODES, metadata.name, stale));
    expect([error.code, error.reason]).toEqual(['ERR_KUBERNETES_CONFLICT', 'Conflict']);
  });

  it('that do not exist cannot be patched, and are not made by it', async () => {
    const error = await failure(
      api.client.patch(NODES, `${TAG}-none`, { metadata: { annotations: { a: '1' } } }),
    );
    expect([error.code, error.status]).toEqual(['ERR_KUBERNETES_NOT_FOUND', 404]);
    expect(error.message).toContain(`nodes "${TAG}-none" not found`);
  });

  it('are found by name', async () => {
    await api.client.create(NODES, node('found'));
    const { items } = await api.client.list(NODES, { fieldSelector: `metadata.name=${TAG}-found` });
    expect(items.map(({ metadata }) => metadata.name)).toEqual([`${TAG}-found`]);
  });
});

describe('a watch', () => {
  const collect = async (resourceVersion: string, count: number, act: () => Promise<void>) => {
    const abort = new AbortController();
    const events: WatchEvent<NodeResource>[] = [];
    const options = { ...mine, resourceVersion, timeoutSeconds: 20, signal: abort.signal };
    const done = (async () => {
      for await (const event of api.client.watch(NODES, options)) {
        if (event.type !== 'BOOKMARK') events.push(event);
        if (events.length === count) return;
      }
    })();
    await act();
    await done;
    return events;
  };
  const said = (events: readonly WatchEvent<NodeResource>[]) =>
    events.map((event) =>
      event.type === 'BOOKMARK' ? '' : `${event.type} ${event.object.metadata.name.slice(TAG.length + 1)}`,
    );

  it('tells what was added, changed and deleted, in order', async () => {
    const { resourceVersion } = await api.client.list(NODES, mine);
    const events = await collect(resourceVersion, 3, async () => {
      await api.client.create(NODES, node('w1'));
      await api.client.patch(NODES, `${TAG}-w1`, { metadata: { annotations: { a: '1' } } });
      await api.client.delete(NODES, `${TAG}-w1`);
    });
    expect(said(events)).toEqual(['ADDED w1', 'MODIFIED w1', 'DELETED w1']);
  });

  it('resumed at a version tells what happened since', async () => {
    const { resourceVersion } = await api.client.list(NODES, mine);
    await api.client.create(NODES, node('w2'));
    const created = await api.client.create(NODES, node('w3'));
    expect(said(await collect(resourceVersion, 2, async () => {}))).toEqual(['ADDED w2', 'ADDED w3']);
    await api.client.delete(NODES, `${TAG}-w2`);
    const later = await collect(created.metadata.resourceVersion ?? '', 1, async () => {});
    expect(said(later)).toEqual(['DELETED w2']);
  });

  it('tells of an object that leaves the selection as deleted', async () => {
    const created = await api.client.create(NODES, node('w4'));
    const events = await collect(created.metadata.resourceVersion ?? '', 1, async () => {
      await api.client.patch(NODES, `${TAG}-w4`, { metadata: { labels: { 'kilowire.dev/test': 'other' } } });
    });
    expect(said(events)).toEqual(['DELETED w4']);
    await remove(api.client, NODES, `${TAG}-w4`);
  });

  it('ends cleanly at its time, with a bookmark before', async () => {
    const { resourceVersion } = await api.client.list(NODES, mine);
    const eventsOf = async (timeoutSeconds: number): Promise<string[]> => {
      const events: string[] = [];
      for await (const { type } of api.client.watch(NODES, { ...mine, resourceVersion, timeoutSeconds }))
        events.push(type);
      return events;
    };
    // A real one sends no bookmark where nothing has happened.
    await api.client.create(NODES, node('w5'));
    const [short, long] = await Promise.all([eventsOf(1), eventsOf(4)]);
    expect(long).toEqual(['ADDED', ...long.slice(1).map(() => 'BOOKMARK')]);
    expect(long.length).toBeGreaterThan(1);
    // It comes two seconds before the end.
    expect(short).toEqual(['ADDED']);
    await remove(api.client, NODES, `${TAG}-w5`);
  });
});

describe('leases and events', () => {
  it('live in namespaces', async () => {
    await remove(api.client, LEASES, `${TAG}-lease`, 'default');
    const lease = {
      metadata: { name: `${TAG}-lease` },
      spec: { holderIdentity: 'n1', leaseDurationSeconds: 40 },
    };
    const created = await api.client.create(LEASES, lease, 'default');
    expect(created.metadata.namespace).toBe('default');
    const renewed = await api.client.patch(
      LEASES,
      `${TAG}-lease`,
      { spec: { holderIdentity: 'n2' } },
      'default',
    );
    expect(renewed.spec).toMatchObject({ holderIdentity: 'n2', leaseDurationSeconds: 40 });
    await api.client.delete(LEASES, `${TAG}-lease`, 'default');
  });

  it('tell what an agent saw', async () => {
    await remove(api.client, EVENTS, `${TAG}-event`, 'default');
    const involvedObject = { apiVersion: 'v1', kind: 'Node', name: 'n1' };
    const event = {
      metadata: { name: `${TAG}-event` },
      involvedObject,
      reason: 'Test',
      message: 'a test',
      type: 'Warning',
    } as const;
    await api.client.create(EVENTS, event, 'default');
    expect((await api.client.get(EVENTS, `${TAG}-event`, 'default')).message).toBe('a test');
    await api.client.delete(EVENTS, `${TAG}-event`, 'default');
  });
});

describe('peers', () => {
  const spec = { allowedIPs: ['10.5.0.1/32'], publicKey: 'a'.repeat(43) };

  it('are unknown before their CRD, refused when their shape is wrong, and gone with the CRD', async () => {
    await remove(api.client, CUSTOM_RESOURCE_DEFINITIONS, PEER_DEFINITION.metadata.name);
    let gone = await failure(api.client.list(PEERS));
    for (let i = 0; gone.code !== 'ERR_KUBERNETES_NOT_FOUND' && i < 50; i++)
      gone = await failure(api.client.list(PEERS));
    expect([gone.code, gone.reason]).toEqual(['ERR_KUBERNETES_NOT_FOUND', undefined]);
    expect(gone.message).toContain('404 page not found');

    await api.client.create(CUSTOM_RESOURCE_DEFINITIONS, PEER_DEFINITION);
    await settled(() => api.client.list(PEERS));
    const created = await settled(() => api.client.create(PEERS, { metadata: { name: TAG }, spec }));
    expect(created.metadata.generation).toBe(1);
    const named = { name: `${TAG}-bad` };
    for (const wrong of [
      { ...spec, allowedIPs: [null] },
      { ...spec, publicKey: undefined },
      { ...spec, persistentKeepalive: 'soon' },
      { ...spec, endpoint: { port: 51820 } },
    ]) {
      const error = await failure(api.client.create(PEERS, { metadata: named, spec: wrong } as never));
      expect([error.code, error.status]).toEqual(['ERR_KUBERNETES_REFUSED', 422]);
    }

    const { resourceVersion } = await api.client.list(PEERS);
    const events: string[] = [];
    const watched = (async () => {
      const options = { resourceVersion, timeoutSeconds: 20 };
      for await (const { type } of api.client.watch(PEERS, options))
        if (type !== 'BOOKMARK') events.push(type);
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await api.client.delete(CUSTOM_RESOURCE_DEFINITIONS, PEER_DEFINITION.metadata.name);
    await watched; // a clean end
    expect(events).toEqual(['DELETED']);
  });
});
