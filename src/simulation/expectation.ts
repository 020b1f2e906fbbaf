/**
 * What a mesh of sound members must come to, worked out the plain way and from nothing but the rules: a second opinion on
 * the topology that agents compute.
 * Source: Kilo's docs/topology.md and its leader election; addresses by the ordinal of the sorted segments.
 * @module
 */
import { formatAddress } from '../noise/ip.ts';
import type { Granularity } from '../routing/node.ts';
import type { MemberShape } from './member.ts';

export interface ExpectedSegment {
  readonly location: string;
  readonly leader: string;
  readonly members: readonly string[];
  readonly address: string;
}

/** `volunteers`: names with the leader annotation. All names are ASCII, so any sort order is the same. */
export const expectedSegments = (
  members: readonly MemberShape[],
  granularity: Granularity,
  volunteers: ReadonlySet<string>,
): ExpectedSegment[] => {
  const groups = new Map<string, MemberShape[]>();
  for (const member of members) {
    const place = granularity === 'location' ? `location:${member.location}` : `node:${member.name}`;
    groups.set(place, [...(groups.get(place) ?? []), member]);
  }
  return [...groups.keys()].toSorted().map((location, at) => {
    const group = (groups.get(location) ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const isPublic = ({ publicAddress }: MemberShape): boolean => publicAddress !== null;
    const isVolunteer = ({ name }: MemberShape): boolean => volunteers.has(name);
    const leader =
      group.find((each) => isVolunteer(each) && isPublic(each)) ??
      group.find(isVolunteer) ??
      group.find(isPublic) ??
      group[0];
    return {
      location,
      leader: leader?.name ?? '',
      members: group.map(({ name }) => name),
      address: formatAddress(Uint8Array.of(10, 4, (at + 1) >> 8, (at + 1) & 0xff)),
    };
  });
};
