/**
 * WillWord: a device's will, as processes of a node tell it to each other, and the hash by which
 * one that both may have is named.
 * From: linkChanges.ts, which has those of its links.  To: the registrar, which keeps them.
 * Bound: `willBytesMax` bytes each; the hash is some characters. Pure.
 */
import { hash } from 'node:crypto';

/** `rules`: who says what a takeover and a return do to it; '': Owsla's own. */
export type WillWord = readonly [
  topic: string,
  payload: Buffer,
  delayMs: number,
  rules: '' | 'mqtt',
];

/** 72 bits: enough to tell the wills apart that one link could have. */
const HASH_CHARACTERS = 12;

/** The same for the same will, in every process. */
export function willHash([topic, payload, delayMs, rules]: WillWord): string {
  const head = Buffer.from(`${topic} ${delayMs} ${rules}\n`);
  return hash('sha256', Buffer.concat([head, payload]), 'base64url').slice(0, HASH_CHARACTERS);
}
