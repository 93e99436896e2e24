/**
 * ClientTls: devices that do a full handshake each, greet if they are asked to, and stay.
 * From: `TlsAsk`s over IPC.  To: one `TlsAnswer` each.
 * Bound: `window` handshakes are under way at a time; a link that fails ends the whole process.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls';
import { TYPE } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { hello } from '../../test/helpers/fakes/device.ts';
import { sourceOf } from './addresses.ts';
import { deviceOptions, type Kind } from './tlsKinds.ts';

export type TlsAsk =
  | { readonly do: 'open'; readonly links: number; readonly window: number; greets: boolean }
  | { readonly do: 'close' };

export interface TlsAnswer {
  readonly links: number;
  /** Of the last one: `TLSv1.3 TLS_AES_256_GCM_SHA384`; '' where there is none. */
  readonly cipher: string;
}

const [kind = 'tls13', folder = '', port = '0', speaks = 'owsla', net = '127.0.2'] =
  process.argv.slice(2);
const GREETING_BYTES = 40;
const FRAME_BYTES_MAX = 65_536;
/** For devices that never had a keepalive to keep. */
const KEEPALIVE_S = 3_600;
const optionsOf = deviceOptions(kind as Kind, folder);
const shared = createSecureContext(optionsOf('all'));
const links: Socket[] = [];
let cipher = '';
let opened = 0;

process.on('disconnect', () => process.exit());

function fail(why: string): never {
  process.send?.({ error: why });
  process.exit(1);
}

async function secured(id: string, index: number): Promise<Socket> {
  const localAddress = sourceOf(net, index);
  const to = { host: '127.0.0.1', port: Number(port), localAddress, noDelay: true };
  if (kind === 'plain') {
    const socket = connect(to);
    await once(socket, 'connect');
    return socket;
  }
  const socket: TLSSocket = connectTls({ ...to, ...optionsOf(id), secureContext: shared });
  await once(socket, 'secureConnect');
  if (socket.isSessionReused() && kind !== 'psk') fail('not a full handshake');
  cipher = `${socket.getProtocol()} ${socket.getCipher().name}`;
  return socket;
}

async function greet(socket: Socket, id: string): Promise<void> {
  const isOurs = speaks === 'owsla';
  const bytes = encode(hello(id, { keepalive: KEEPALIVE_S }));
  socket.write(isOurs ? bytes : Buffer.alloc(GREETING_BYTES));
  const reader = new V1Reader(FRAME_BYTES_MAX);
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    if (!isOurs) return;
    reader.push(chunk);
    const message = reader.next();
    if (message?.type === TYPE.WELCOME) return;
    if (message !== undefined) fail(`no WELCOME: ${JSON.stringify(message)}`);
  }
}

async function openOne(greets: boolean): Promise<void> {
  const index = opened;
  opened += 1;
  const id = `${speaks}-${index}`;
  const socket = await secured(id, links.length);
  socket.on('error', () => {});
  socket.on('close', () => {
    if (links.includes(socket)) fail(`the server closed ${id}`);
  });
  links.push(socket);
  if (greets) await greet(socket, id);
  socket.on('data', () => {});
}

async function open(count: number, window: number, greets: boolean): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await openOne(greets);
    }
  };
  await Promise.all(Array.from({ length: window }, lane));
}

async function close(): Promise<void> {
  const gone = links.splice(0).map((socket) => {
    const closed = once(socket, 'close');
    socket.destroy();
    return closed;
  });
  await Promise.all(gone);
}

process.on('message', async (ask: TlsAsk) => {
  try {
    if (ask.do === 'open') await open(ask.links, ask.window, ask.greets);
    else await close();
    process.send?.({ links: links.length, cipher } satisfies TlsAnswer);
  } catch (error) {
    fail(String(error));
  }
});
