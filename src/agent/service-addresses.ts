/**
 * Cluster addresses of a few Services, each watched for as long as somebody's bound names it. Where they cannot be read, they
 * have none: a bound never opens because of that.
 * @module
 */
import { type Cidr, hostCidr, parseAddress } from '../noise/ip.ts';
import type { KubernetesClient } from './kubernetes/client.ts';
import { Mirror } from './kubernetes/mirror.ts';
import { SERVICES, type ServiceResource } from './kubernetes/resources.ts';

export interface ServiceAddressesOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
}

interface Watched {
  readonly mirror: Mirror<ServiceResource, readonly Cidr[]>;
  readonly end: AbortController;
  failed: boolean;
}

export class ServiceAddresses {
  readonly #options: ServiceAddressesOptions;
  /** By `namespace/name`. */
  readonly #watched = new Map<string, Watched>();

  constructor(options: ServiceAddressesOptions) {
    this.#options = options;
  }

  /** From now on these, as `namespace/name`. */
  want(names: ReadonlySet<string>): void {
    for (const [name, { end }] of this.#watched) {
      if (names.has(name)) continue;
      end.abort();
      this.#watched.delete(name);
    }
    for (const name of names) if (!this.#watched.has(name)) this.#watch(name);
  }

  /** Whether each has been read, or could not be: before that nothing is known, and nothing shall be closed for it. */
  get settled(): boolean {
    return [...this.#watched.values()].every(({ mirror, failed }) => mirror.synced || failed);
  }

  /** None when there is no such Service, or when it is headless. */
  of(name: string): readonly Cidr[] {
    const { mirror } = this.#watched.get(name) ?? {};
    return mirror?.items.get(name.slice(name.indexOf('/') + 1)) ?? [];
  }

  /** Why it has no address; null when it has. */
  why(name: string): string | null {
    const watched = this.#watched.get(name);
    if (this.of(name).length > 0) return null;
    if (watched === undefined || !watched.mirror.synced)
      return 'Services cannot be read: apply the current manifest, which lets agents list and watch them';
    const there = watched.mirror.items.size > 0;
    return there ? 'it is headless: allow the range of its pods' : 'there is no such Service';
  }

  #watch(service: string): void {
    const { client, onChange, onError } = this.#options;
    const [namespace = '', name = ''] = service.split('/');
    const watched: Watched = {
      end: new AbortController(),
      failed: false,
      mirror: new Mirror({
        client,
        type: SERVICES,
        selection: { namespace, fieldSelector: `metadata.name=${name}` },
        keep: addressesOf,
        onChange,
        onError: (error) => {
          const news = !watched.failed;
          watched.failed = true;
          onError(error);
          if (news) onChange();
        },
      }),
    };
    this.#watched.set(service, watched);
    void watched.mirror.run(watched.end.signal);
  }
}

/** `None` is no address. */
const addressesOf = ({ spec }: ServiceResource): readonly Cidr[] =>
  [...new Set([spec?.clusterIP ?? '', ...(spec?.clusterIPs ?? [])])].flatMap((text) => {
    const address = parseAddress(text);
    return address === null ? [] : [hostCidr(address)];
  });
