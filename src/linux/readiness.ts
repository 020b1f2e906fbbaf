/**
 * Tells when a descriptor has something to read, on Node's own event loop (uv_poll through koffi): for netlink groups and
 * raw sockets outside the packet path. koffi ships this undocumented and its types omit the first argument, so it is used
 * here only, and koffi is pinned.
 * @module
 */
import koffi from 'koffi';

export interface ReadinessWatch {
  close(): void;
  /** Lets the process end though the watch is open. */
  unref(): void;
}

/** Level-triggered: `onReadable` is called again until everything has been read. */
export const watchReadable = (fd: number, onReadable: () => void): ReadinessWatch => {
  const handle = koffi.node.poll(fd, { readable: true }, () => onReadable());
  return { close: () => handle.close(), unref: () => handle.unref() };
};
