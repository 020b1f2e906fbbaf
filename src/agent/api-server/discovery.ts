/**
 * What the server says of itself, so that kubectl and client libraries find their way.
 * Source: Kubernetes API discovery (/api, /apis, /version).
 * @module
 */
import type { Kind } from './kinds.ts';

const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];

/** The answer to a discovery path; undefined for any other. */
export const discover = (path: string, kinds: readonly Kind[]): unknown => {
  if (path === '/version')
    return { major: '1', minor: '35', gitVersion: 'v1.35.0-kilowire', platform: 'linux' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groupsOf(kinds) };
  const [, root, group, version] = /^\/(api|apis)(?:\/([^/]+))?\/([^/]+)$/.exec(path) ?? [];
  if (root === undefined || (root === 'api') !== (group === undefined)) return undefined;
  const served = kinds.filter((kind) => kind.group === (group ?? '') && kind.version === version);
  if (served.length === 0) return undefined;
  const resources = served.map(({ plural, kind, namespaced }) => ({
    name: plural,
    singularName: kind.toLowerCase(),
    namespaced,
    kind,
    verbs: VERBS,
    ...(plural === 'nodes' ? { shortNames: ['no'] } : {}),
  }));
  const groupVersion = group === undefined ? version : `${group}/${version}`;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
};

const groupsOf = (kinds: readonly Kind[]) => {
  const groups = new Map<string, string[]>();
  for (const { group, version } of kinds) {
    if (group === '') continue;
    const versions = groups.get(group) ?? [];
    if (!versions.includes(version)) versions.push(version);
    groups.set(group, versions);
  }
  return [...groups].map(([name, versions]) => {
    const all = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
    return { name, versions: all, preferredVersion: all[0] };
  });
};
