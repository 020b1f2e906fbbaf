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

const teller = (always?: Error) => {
  const refuse: { next?: Error | undefined } = {};
  const said: EventResource[] = [];
  const errors: unknown[] = [];
  const clock = { now: 1_000_000 };
  const create = async (_type: unknown, event: EventResource): Promise<never> => {
    const refusal = always ?? refuse.next;
    refuse.next = undefined;
    if (refusal !== undefined) throw refusal;
    said.push(event);
    return event as never;
  };
  const events = new FaultEvents({
    client: { create: create as never },
    hostname: 'n1',
    now: () => clock.now,
    onError: (error) => errors.push(error),
  });
  return { events, said, errors, clock, refuse };
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
    clock.now += 61 * 60_000;
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
    // Those that are left come with the passes after.
    await events.tell(many, true);
    expect(new Set(said.map(({ involvedObject }) => involvedObject.name)).size).toBe(20);
  });

  it('of one object and one kind are two when they say different things, and no more when only numbers change', async () => {
    const { events, said } = teller();
    const late = (message: string): Fault => ({ ...PEER, message });
    await events.tell([PEER, late('Peer "laptop": y'), late('it is 3 s old')], true);
    await events.tell([late('it is 33 s old')], true);
    expect(said).toHaveLength(3);
    expect(new Set(said.map(({ metadata }) => metadata.name)).size).toBe(3);
  });

  it('that did not arrive are told again', async () => {
    const { events, said, errors, refuse } = teller();
    refuse.next = new KubernetesError('ERR_KUBERNETES_TIMEOUT', 'no answer');
    await events.tell([PEER, OWN], true);
    expect([said.length, errors.length]).toEqual([0, 1]);
    await events.tell([PEER, OWN], true);
    expect(said).toHaveLength(2);
  });
});
