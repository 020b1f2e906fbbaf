/**
 * Events about what is wrong: told once, by one, and never in the way.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { FaultEvents } from '../../../src/agent/fault-events.ts';
import type { Fault } from '../../../src/agent/faults.ts';
import { KubernetesError } from '../../../src/agent/kubernetes/kubernetes-error.ts';
import type { EventResource } from '../../../src/agent/kubernetes/resources.ts';

const PEER: Fault = {
  code: 'peer-invalid',
  subject: { kind: 'peer', name: 'laptop' },
  message: 'Peer "laptop" is left out: x',
};
const OWN: Fault = { code: 'routes', subject: { kind: 'host', name: 'n1' }, message: 'no route' };

const teller = (refuse?: Error) => {
  const said: EventResource[] = [];
  const errors: unknown[] = [];
  const clock = { now: 1_000_000 };
  const create = async (_type: unknown, event: EventResource): Promise<never> => {
    if (refuse !== undefined) throw refuse;
    said.push(event);
    return event as never;
  };
  const events = new FaultEvents({
    client: { create: create as never },
    hostname: 'n1',
    now: () => clock.now,
    onError: (error) => errors.push(error),
  });
  return { events, said, errors, clock };
};

describe('events', () => {
  it('name the object, the reason and the sentence', async () => {
    const { events, said } = teller();
    await events.tell([PEER], true);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatchObject({
      involvedObject: { apiVersion: 'kilo.squat.ai/v1alpha1', kind: 'Peer', name: 'laptop' },
      reason: 'PeerInvalid',
      message: PEER.message,
      type: 'Warning',
    });
  });

  it('of others are told by the one that speaks, of a node by its own agent', async () => {
    const { events, said } = teller();
    await events.tell([PEER, OWN], false);
    expect(said.map(({ reason, involvedObject }) => `${reason} ${involvedObject.name}`)).toEqual([
      'Routes n1',
    ]);
  });

  it('are not told again for a while', async () => {
    const { events, said, clock } = teller();
    await events.tell([PEER], true);
    await events.tell([PEER], true);
    expect(said).toHaveLength(1);
    clock.now += 11 * 60_000;
    await events.tell([PEER], true);
    expect(said).toHaveLength(2);
  });

  it('stop where they are not allowed', async () => {
    const { events, errors } = teller(new KubernetesError('ERR_KUBERNETES_FORBIDDEN', 'no'));
    await events.tell([PEER], true);
    await events.tell([OWN], true);
    expect(errors).toHaveLength(1);
  });

  it('come in small numbers', async () => {
    const { events, said } = teller();
    const many = Array.from({ length: 500 }, (_, i) => ({
      ...PEER,
      subject: { kind: 'peer' as const, name: `p${i}` },
    }));
    await events.tell(many, true);
    expect(said).toHaveLength(10);
  });
});
