/**
 * Astray: what a link seems to speak whose first bytes are not what its listener reads.
 * From: frame.ts and mqtt/packetReader.ts, once they have found such bytes wrong.  To: the words of
 * their error: the operator's log then says who knocked at the wrong port.
 * Bound: it looks at bytes that are there in any case, so that no cut of the stream changes a word.
 */

/** By the first byte, of those that begin nothing of MQTT that a device may send. */
const BY_BYTE: ReadonlyMap<number, string> = new Map([
  [0x00, 'Owsla’s own protocol'],
  [0x16, 'TLS'],
  [0x47, 'HTTP'],
]);
const HTTP = /^(?:GET |POST|HEAD|PUT |OPTI|CONN|PRI )/;
const PROXY = /^(?:PROX|\r\n\r\n)/;
const TLS_HANDSHAKE = 0x16;
const MQTT_CONNECT = 0x10;

/** `, as TLS begins`; '' for bytes that say nothing. Of a frame's first 4, or of the first one. */
export function astray(first: Buffer): string {
  const what = first.length === 1 ? BY_BYTE.get(first[0] as number) : byFour(first);
  return what === undefined ? '' : `, as ${what} begins`;
}

/** By the bytes in which our own protocol has a length. */
function byFour(first: Buffer): string | undefined {
  const text = first.toString('latin1');
  if (HTTP.test(text)) return 'HTTP';
  if (PROXY.test(text)) return 'a PROXY header';
  const [kind, version, third, fourth] = first;
  if (kind === TLS_HANDSHAKE && version === 3) return 'TLS';
  // Its length has one byte, or two; then a text of 4 or 6 bytes, whose length has two.
  const isText = (version as number) < 0x80 ? third === 0 : fourth === 0;
  return kind === MQTT_CONNECT && isText ? 'MQTT' : undefined;
}
