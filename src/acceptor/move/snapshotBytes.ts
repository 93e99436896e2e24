/**
 * SnapshotBytes: a link's snapshot as bytes, in a form that has a number.
 * From: the acceptor that lets a link go.  To: the one that takes it, perhaps of another version.
 * Bound: the snapshot's; what is in no form that is known here is `undefined`, never an error.
 */
import { pack, unpack } from 'msgpackr';
import type { LinkSnapshot } from '../endpoint/snapshot.ts';

/**
 * Changed fields make another one. A process that does not know it leaves the link where it is. A
 * will stands in the second only: who knows the first would lose it.
 */
const FORM = { plain: 1, withBequest: 2 } as const;
const FORMS: readonly number[] = Object.values(FORM);

export function encodeSnapshot(snapshot: LinkSnapshot): Buffer {
  return pack([snapshot.bequest ? FORM.withBequest : FORM.plain, snapshot]);
}

/** Undefined when it is in a form that is not known here, or in none. */
export function decodeSnapshot(bytes: Buffer): LinkSnapshot | undefined {
  try {
    const [form, snapshot] = unpack(bytes) as [number, LinkSnapshot];
    if (!FORMS.includes(form)) return undefined;
    const { id, deviceId, peer } = snapshot;
    return { ...snapshot, id: alone(id), deviceId: alone(deviceId), peer: alone(peer) };
  } catch {
    return undefined;
  }
}

/** A text that a link keeps: as a part of the snapshot's text it would keep all of that. */
function alone(text: string): string {
  return Buffer.from(text).toString();
}
