/**
 * `kilowire client`: laptops, phones and routers in the mesh, from their first key to their removal. Private keys are made on
 * this machine and stay there: the cluster only ever sees public ones.
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { ClientTerms } from '../admin/clients/client.ts';
import type { ClientEntry } from '../admin/clients/client-list.ts';
import type { ClusterSnapshot } from '../admin/cluster-snapshot.ts';
import type { KubernetesClient } from '../agent/kubernetes/client.ts';
import { parseBase64Key } from '../noise/base64-key.ts';
import { giveOut, makeConf, OwnFile } from './client-file.ts';
import { importCommand } from './client-import.ts';
import {
  type AddFlags,
  type OutFlags,
  type TermFlags,
  withAddresses,
  withOut,
  withTerms,
} from './client-options.ts';
import { clientTable } from './client-text.ts';
import { type ClusterFlags, openClient, openSnapshot, withCluster } from './cluster-options.ts';
import { type OutputFormat, outputOption, paintFor, print, printJson, remark } from './output.ts';

interface OutputFlags extends ClusterFlags {
  readonly output: OutputFormat;
}

const within = async <Answer>(
  flags: ClusterFlags,
  work: (client: KubernetesClient) => Promise<Answer>,
): Promise<Answer> => {
  const client = await openClient(flags);
  try {
    return await work(client);
  } finally {
    client.close();
  }
};

/** Ends that are so long from now are counted by the API's clock: this machine's may be wrong. */
const termsOf = ({ expires, allow, email, tag }: TermFlags, now: number): ClientTerms => ({
  ...(expires === undefined
    ? {}
    : { expires: expires === 'never' ? null : 'at' in expires ? expires.at : now + expires.after }),
  ...(allow === undefined ? {} : { allow: allow === 'everything' ? null : allow }),
  ...(email === undefined ? {} : { email }),
  ...(tag === undefined ? {} : { tags: tag }),
});

const newKeys = async (): Promise<{ readonly privateKey: string; readonly publicKey: string }> => {
  const { newPrivateKey, publicKeyOf } = await import('../agent/key-file.ts');
  const { formatBase64Key } = await import('../noise/base64-key.ts');
  const secret = newPrivateKey();
  const keys = { privateKey: formatBase64Key(secret), publicKey: publicKeyOf(secret) };
  secret.fill(0);
  return keys;
};

const newPresharedKey = async (): Promise<string> => {
  const { randomBytes } = await import('node:crypto');
  return randomBytes(32).toString('base64');
};

const entryOf = async ({ peers, now }: ClusterSnapshot, name: string): Promise<ClientEntry> => {
  const { clientEntry } = await import('../admin/clients/client-list.ts');
  const { AdminError } = await import('../admin/admin-error.ts');
  const entry = peers.find(({ peer }) => peer.name === name);
  if (entry !== undefined) return clientEntry(entry, now);
  throw new AdminError('ERR_ADMIN_UNKNOWN', `There is no client "${name}": kilowire client list shows all.`);
};

const add = async (name: string, flags: AddFlags): Promise<void> =>
  await within(flags, async (client) => {
    const { addClient, readPools, removeClient } = await import('../admin/clients/client-store.ts');
    const { checkPools, occupiedBy } = await import('../admin/clients/address-pool.ts');
    const { readCluster } = await import('../admin/cluster-snapshot.ts');
    const { meshOf } = await import('../admin/mesh.ts');
    const before = await readCluster(client, flags.topologyLabel);
    const mesh = await meshOf(before, { granularity: flags.meshGranularity });
    const pools = flags.pool ?? (await readPools(client));
    if (flags.address === undefined) checkPools(pools, occupiedBy(before, mesh.subnet));
    const keys = flags.publicKey === undefined ? await newKeys() : null;
    const file = flags.out === undefined ? null : new OwnFile(flags.out);
    let snapshot: ClusterSnapshot | null = null;
    try {
      snapshot = await addClient(
        client,
        {
          ...termsOf(flags, before.now),
          name,
          publicKey: keys?.publicKey ?? flags.publicKey ?? '',
          ...(flags.presharedKey === true ? { presharedKey: await newPresharedKey() } : {}),
          pools,
          ...(flags.address === undefined ? {} : { addresses: flags.address }),
          persistentKeepalive: flags.keepalive,
        },
        flags.topologyLabel,
      );
      await tell(client, snapshot, name, flags, keys?.privateKey ?? null, file);
    } catch (error) {
      file?.discard();
      // A Peer whose key nobody was given is of no use.
      if (snapshot !== null && keys !== null) await removeClient(client, name);
      throw error;
    }
    if (Array.isArray(flags.allow) && flags.dns === 'auto' && !flags.allow.includes('kube-system/kube-dns'))
      remark('kilowire: It may not ask for names: allow kube-system/kube-dns too, if it shall.');
  });

/** What a new key is good for. */
const tell = async (
  client: KubernetesClient,
  snapshot: ClusterSnapshot,
  name: string,
  flags: OutFlags & OutputFlags,
  privateKey: string | null,
  file: OwnFile | null,
): Promise<void> => {
  const { text } = await makeConf(client, snapshot, name, flags, privateKey);
  if (flags.output === 'json') {
    file?.write(text);
    return printJson({ client: await entryOf(snapshot, name), config: text });
  }
  const { PRIVATE_KEY_PLACEHOLDER } = await import('../admin/clients/client-conf.ts');
  await giveOut(text, file, flags);
  if (privateKey === null)
    remark(
      `kilowire: Put the private key in the place of ${PRIVATE_KEY_PLACEHOLDER}: only its owner has it.`,
    );
};

const rotate = async (
  name: string,
  flags: OutFlags & OutputFlags & { readonly publicKey?: string },
): Promise<void> =>
  await within(flags, async (client) => {
    const { changeClient } = await import('../admin/clients/client-store.ts');
    const { readCluster } = await import('../admin/cluster-snapshot.ts');
    const { hasPresharedKey } = await entryOf(await readCluster(client, flags.topologyLabel), name);
    const keys = flags.publicKey === undefined ? await newKeys() : null;
    const file = flags.out === undefined ? null : new OwnFile(flags.out);
    try {
      await changeClient(client, name, {
        publicKey: keys?.publicKey ?? flags.publicKey ?? '',
        ...(hasPresharedKey ? { presharedKey: await newPresharedKey() } : {}),
      });
      const after = await readCluster(client, flags.topologyLabel);
      await tell(client, after, name, flags, keys?.privateKey ?? null, file);
    } catch (error) {
      file?.discard();
      throw error;
    }
  });

const config = async (
  name: string,
  flags: OutFlags & OutputFlags & { readonly privateKey?: string },
): Promise<void> =>
  await within(flags, async (client) => {
    const { readCluster } = await import('../admin/cluster-snapshot.ts');
    const key = flags.privateKey === undefined ? null : readFileSync(flags.privateKey, 'latin1').trim();
    if (key !== null && parseBase64Key(key) === null)
      throw new Error(
        `${flags.privateKey} holds no private key: it is 44 characters, as "wg genkey" prints.`,
      );
    const file = flags.out === undefined ? null : new OwnFile(flags.out);
    try {
      await tell(client, await readCluster(client, flags.topologyLabel), name, flags, key, file);
    } catch (error) {
      file?.discard();
      throw error;
    }
  });

const list = async (flags: OutputFlags): Promise<void> => {
  const { listClients } = await import('../admin/clients/client-list.ts');
  const snapshot = await openSnapshot(flags);
  const clients = listClients(snapshot);
  if (flags.output === 'json') printJson({ clients });
  else print(clientTable(clients, snapshot.now, paintFor(process.stdout)));
};

const set = async (name: string, flags: TermFlags & OutputFlags, more: ClientTerms = {}): Promise<void> =>
  await within(flags, async (client) => {
    const { changeClient } = await import('../admin/clients/client-store.ts');
    const { readCluster } = await import('../admin/cluster-snapshot.ts');
    const { now } = await readCluster(client, flags.topologyLabel);
    await changeClient(client, name, { ...termsOf(flags, now), ...more });
    const entry = await entryOf(await readCluster(client, flags.topologyLabel), name);
    if (flags.output === 'json') printJson({ client: entry });
    else print(clientTable([entry], now, paintFor(process.stdout)));
  });

const remove = async (name: string, flags: OutputFlags): Promise<void> =>
  await within(flags, async (client) => {
    const { removeClient } = await import('../admin/clients/client-store.ts');
    await removeClient(client, name);
    if (flags.output === 'json') printJson({ removed: name });
    else print(`${name} is removed; the nodes forget its key within seconds.`);
  });

const verb = (name: string, description: string): Command =>
  withCluster(new Command(name).description(description))
    .addOption(outputOption())
    .allowExcessArguments(false);

const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  kilowire client ${line}`).join('\n')}`;

export const clientCommand = (): Command =>
  new Command('client')
    .description('laptops, phones and routers in the mesh: add, list, change, rotate keys, remove, import')
    .addHelpText('after', examples('add laptop --out laptop.conf', 'add phone --qr --expires 30d', 'list'))
    .addCommand(
      withOut(
        withAddresses(withTerms(verb('add', 'make a client, and the file that takes it into the mesh'))),
      )
        .argument('<name>', 'name of the Peer')
        .addHelpText(
          'after',
          `
The private key is made here, printed or written, and never sent. --allow is seen to by the packet filter of the nodes.
${examples(
  'add laptop --out laptop.conf',
  'add phone --qr',
  'add guest --expires 8h --allow default/web,kube-system/kube-dns --qr',
  'add build-server --public-key "$(cat build-server.pub)" --dns none',
)}`,
        )
        .action(add),
    )
    .addCommand(
      verb('list', 'show all clients, whether they take part, until when, and where to')
        .addHelpText(
          'after',
          examples('list', 'list -o json | jq -r \'.clients[] | select(.state == "expired").name\''),
        )
        .action(list),
    )
    .addCommand(
      withOut(verb('config', 'print the file of a client anew, as the mesh is now'))
        .argument('<name>', 'name of the Peer')
        .option('--private-key <file>', 'base64; without it the place for it is marked')
        .addHelpText(
          'after',
          examples('config laptop', 'config laptop --private-key laptop.key --out laptop.conf'),
        )
        .action(config),
    )
    .addCommand(
      withTerms(verb('set', 'change the terms of a client'))
        .argument('<name>', 'name of the Peer')
        .addHelpText(
          'after',
          examples('set guest --expires 8h', 'set guest --allow everything --expires never'),
        )
        .action((name: string, flags: TermFlags & OutputFlags) => set(name, flags)),
    )
    .addCommand(
      withOut(verb('rotate', 'give a client a new key, and the file with it; the old key is out'))
        .argument('<name>', 'name of the Peer')
        .option('--public-key <key>', 'of a key pair made elsewhere')
        .addHelpText('after', examples('rotate laptop --out laptop-2.conf', 'rotate phone --qr'))
        .action(rotate),
    )
    .addCommand(
      verb('disable', 'leave a client out of the mesh, and keep it')
        .argument('<name>', 'name of the Peer')
        .addHelpText('after', examples('disable laptop'))
        .action((name: string, flags: OutputFlags) => set(name, flags, { enabled: false })),
    )
    .addCommand(
      verb('enable', 'let a disabled client in again')
        .argument('<name>', 'name of the Peer')
        .addHelpText('after', examples('enable laptop'))
        .action((name: string, flags: OutputFlags) => set(name, flags, { enabled: true })),
    )
    .addCommand(
      verb('remove', 'delete a client')
        .argument('<name>', 'name of the Peer')
        .addHelpText('after', examples('remove laptop'))
        .action(remove),
    )
    .addCommand(importCommand());
