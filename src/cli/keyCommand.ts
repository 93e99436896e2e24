/**
 * KeyCommand: what `owsla key` does: a new group key; a device's key, or a token, that follows.
 * From: commandLine.ts; the key file.  To: lines for the key file, a device, or whoever asks.
 * Bound: no secret is ever an argument, as ps shows those: keys come from a file, go to stdout.
 */
import type { KeyObject } from 'node:crypto';
import type { Argv } from 'yargs';
import {
  chooseGroupKey,
  devicePskKey,
  deviceTokenKey,
  KEY_ID,
  keyIdentity,
  makeToken,
  newGroupKey,
  TOKEN_EXPIRES_MAX,
} from '../base/deviceKeys.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { parseDuration } from '../base/units.ts';
import { type Arguments, deviceOf, withDevice, word } from './commandParts.ts';

/** Hands on one line of output. */
type Print = (line: string) => void;

const SAY_WHICH = 'give a command: owsla key new, owsla key derive, owsla key token';

/** `owsla key` for yargs, with its three commands. */
export function keyCommand(print: Print) {
  return {
    command: 'key',
    describe: 'make group keys, and the keys and tokens of devices that follow from them',
    builder: (y: Argv) =>
      y
        .command(newCommand(print))
        .command(deriveCommand(print))
        .command(tokenCommand(print))
        .demandCommand(1, SAY_WHICH),
    handler: () => {},
  };
}

function newCommand(print: Print) {
  return {
    command: 'new',
    describe: 'print a new group key, as a line for the key file',
    builder: (y: Argv) =>
      y
        .option('key-id', word('ID: name of the key; by default the date, such as k20261128'))
        .epilog('Nobody else may read the file: (umask 077; owsla key new >> keys.yaml)'),
    handler: (given: Arguments) => {
      const today = `k${new Date().toISOString().slice(0, 10).replaceAll('-', '')}`;
      print(`${keyIdOf(given) ?? today}: ${newGroupKey()}`);
    },
  };
}

function deriveCommand(print: Print) {
  return {
    command: 'derive <device>',
    describe: "print a device's own key, for its flash: KEY_ID.DEVICE:64 hexadecimal digits",
    builder: (y: Argv) =>
      fromFile(y).option('psk', {
        type: 'boolean',
        describe: 'its key for TLS-PSK, not for tokens',
      }),
    handler: (given: Arguments) => {
      const { groupKey, keyId, device } = chosenOf(given);
      const key = (given.psk === true ? devicePskKey : deviceTokenKey)(groupKey, device);
      print(`${keyIdentity(keyId, device)}:${key.toString('hex')}`);
    },
  };
}

function tokenCommand(print: Print) {
  return {
    command: 'token <device>',
    describe: 'print a token with which a device can connect',
    builder: (y: Argv) =>
      fromFile(y).option('expires', {
        ...word('DURATION: from now, such as 30d; 0: never'),
        default: '0',
      }),
    handler: (given: Arguments) => {
      const { groupKey, keyId, device } = chosenOf(given);
      print(makeToken(groupKey, keyId, device, expiresOf(String(given.expires))));
    },
  };
}

function fromFile(y: Argv): Argv {
  return withDevice(y)
    .option('keys', word('FILE: group keys, YAML of key id and base64, mode 0600'))
    .option('key-id', word('ID: which of the group keys, if there are several'))
    .epilog('Write -- before a device id that begins with -.');
}

function keyIdOf(given: Arguments): string | undefined {
  const keyId = once(given, 'key-id');
  if (keyId === undefined || KEY_ID.test(keyId)) return keyId;
  throw new StartError(EXIT.usage, '--key-id takes 1 to 32 of A-Z a-z 0-9 _ -');
}

function once(given: Arguments, name: string): string | undefined {
  const value = given[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new StartError(EXIT.usage, `--${name} is given more than once`);
}

/** The group key and the device that are meant. */
function chosenOf(given: Arguments): { groupKey: KeyObject; keyId: string; device: string } {
  const device = deviceOf(given);
  const wanted = keyIdOf(given);
  const path = once(given, 'keys') ?? '';
  if (path === '') {
    throw new StartError(EXIT.usage, 'give the file with the group keys: --keys FILE');
  }
  return { ...chooseGroupKey(path, wanted), device };
}

/** In s since 1970; 0: never. */
function expiresOf(wish: string): number {
  if (wish === '0') return 0;
  const durationMs = parseDuration(wish);
  const expires = Math.ceil((Date.now() + (durationMs ?? 0)) / 1_000);
  if (durationMs && expires <= TOKEN_EXPIRES_MAX) return expires;
  throw new StartError(
    EXIT.usage,
    `--expires takes a time such as 30d, or 0 for never, not ${JSON.stringify(wish)}`,
  );
}
