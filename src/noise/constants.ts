/**
 * The numbers of the protocol, apart from the numbers we chose.
 * Source: WireGuard paper §5.4 (messages, labels), §6 (timers); linux drivers/net/wireguard/messages.h and
 * wireguard-go device/constants.go where the paper is silent. Times are in milliseconds.
 * @module
 */

/* ---- Specification constants ---- */

/** Paper §5.4: hashed into the first chaining key. */
export const CONSTRUCTION = 'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s';
/** Paper §5.4: hashed into the first hash. */
export const IDENTIFIER = 'WireGuard v1 zx2c4 Jason@zx2c4.com';
/** Paper §5.4.4. */
export const LABEL_MAC1 = 'mac1----';
/** Paper §5.4.7. */
export const LABEL_COOKIE = 'cookie--';

export const KEY_SIZE = 32;
/** Poly1305 tag. RFC 8439 §2.5. */
export const TAG_SIZE = 16;
/** mac1, mac2 and the cookie: keyed BLAKE2s with a short output. Paper §5.4.4. */
export const MAC_SIZE = 16;
/** XChaCha20-Poly1305 nonce of a cookie reply. Paper §5.4.7. */
export const COOKIE_NONCE_SIZE = 24;
/** Label plus seconds plus nanoseconds. */
export const TAI64N_SIZE = 12;

/** Paper §6.1: 2^60 messages, as the two halves of a 64-bit counter. */
export const REKEY_AFTER_MESSAGES_HIGH = 0x1000_0000;
export const REKEY_AFTER_MESSAGES_LOW = 0;
/** Paper §6.1: 2^64 - 2^13 - 1, as the two halves of a 64-bit counter. */
export const REJECT_AFTER_MESSAGES_HIGH = 0xffff_ffff;
export const REJECT_AFTER_MESSAGES_LOW = 0xffff_dfff;

/** Paper §6.1. */
export const REKEY_AFTER_TIME = 120_000;
export const REJECT_AFTER_TIME = 180_000;
export const REKEY_ATTEMPT_TIME = 90_000;
/** Paper §6.1: also the least distance between two handshake messages sent to one peer. */
export const REKEY_TIMEOUT = 5_000;
export const KEEPALIVE_TIMEOUT = 10_000;
/** Paper §5.4.7: the responder's secret, and with it every cookie, lives two minutes. */
export const COOKIE_SECRET_LIFETIME = 120_000;

/* ---- Implementation constants (shared with the kernel and wireguard-go) ---- */

/** timers.c MAX_TIMER_HANDSHAKES: a retry beyond this count gives up. */
export const MAX_TIMER_HANDSHAKES = REKEY_ATTEMPT_TIME / REKEY_TIMEOUT;
/** wireguard-go RekeyTimeoutJitterMaxMs: added to a retransmit, so that two sides do not stay in step. */
export const REKEY_TIMEOUT_JITTER = 333;
/** The last moment at which a receiving initiator still has time to rekey. */
export const REKEY_ON_RECEIVE_AFTER = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
/** No answer to data for this long starts a handshake. */
export const NEW_HANDSHAKE_AFTER = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
/** Key material is wiped after three times the life of a session. */
export const ZERO_KEYS_AFTER = 3 * REJECT_AFTER_TIME;
/** messages.h: a stored cookie is used a little shorter than it lives, to allow for the way there. */
export const COOKIE_USE_TIME = COOKIE_SECRET_LIFETIME - REKEY_TIMEOUT;
/** wireguard-go HandshakeInitationRate: at most 50 initiations a second are consumed from one peer. */
export const INITIATION_FLOOD_INTERVAL = 20;
/** wireguard-go UnderLoadAfterTime: how long "under load" outlasts its cause. */
export const UNDER_LOAD_PERSISTENCE = 1_000;
/** ratelimiter.c PACKETS_PER_SECOND, PACKETS_BURSTABLE. */
export const RATE_LIMIT_PER_SECOND = 20;
export const RATE_LIMIT_BURST = 5;
/** Plaintext is padded to a multiple of this. Paper §5.4.6. */
export const PADDING_MULTIPLE = 16;
/** 1500 - 40 (IPv6) - 8 (UDP) - 32 (WireGuard). */
export const DEFAULT_MTU = 1420;

/* ---- Ours ---- */

/** Sources the rate limiter remembers at once; a new one beyond that is refused, as in the kernel. */
export const RATE_LIMIT_SOURCES = 8_192;
/** wireguard-go MaxPeers. */
export const MAX_PEERS = 65_536;
