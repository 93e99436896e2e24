/**
 * Clients: somebody else's MQTT libraries, as far as this machine has them.
 * From: Debian's packages, and what test/interop/fetch.sh put into .cache.
 * To: clients.test.ts: how each is started, in which versions, or why it is skipped.
 * Bound: a closed list.
 */
import { existsSync } from 'node:fs';
import { at, debianPython, missing } from '../../helpers/processes/programs.ts';

export interface Client {
  readonly name: string;
  readonly command: readonly string[];
  readonly versions: readonly (4 | 5)[];
  /** Why it cannot be run here, or `false`. */
  readonly skip: string | false;
  /** It does not tell the reason code of a DISCONNECT. */
  readonly isMum?: boolean;
  /** Left to `make interop` where `make test` has no time; those of these versions stay. */
  readonly inTest: readonly (4 | 5)[];
}

/** `make interop`: everything; without it the cut that `make test` has time for. */
export const IS_ALL = process.env.OWSLA_INTEROP !== undefined;

const CACHE = at('test/interop/.cache');
const python = `${CACHE}/python/bin/python`;
const goDevice = `${CACHE}/go/device`;

const noFile = (file: string, what: string): string | false =>
  existsSync(file) ? false : `no ${what} here: make interop`;

export const goPackets = `${CACHE}/go/packets`;
export const noGo = noFile(goPackets, 'Go programs');
export const noMosquitto = missing('mosquitto_rr', 'sh', '-c', 'command -v mosquitto_rr');
export const noPaho = missing('paho-mqtt', debianPython, '-c', 'import paho.mqtt.client');
/** The folder of mosquitto's sources. */
export const mosquittoSource = `${CACHE}/mosquitto`;
export const noMosquittoSource = noFile(mosquittoSource, "mosquitto's sources");

const program = (file: string): string => at(`test/interop/clients/${file}`);

export const CLIENTS: readonly Client[] = [
  {
    name: 'paho-mqtt for Python, of Debian',
    command: [debianPython, program('paho_device.py')],
    versions: [4, 5],
    skip: noPaho,
    inTest: [4],
  },
  {
    name: 'paho-mqtt for Python, of PyPI',
    command: [python, program('paho_device.py')],
    versions: [4, 5],
    skip: noFile(python, 'aiomqtt'),
    inTest: [],
  },
  {
    name: 'aiomqtt',
    command: [python, program('aiomqtt_device.py')],
    versions: [4, 5],
    skip: noFile(python, 'aiomqtt'),
    isMum: true,
    inTest: [],
  },
  {
    name: 'MQTT.js',
    command: [process.execPath, program('mqttJsDevice.ts')],
    versions: [4, 5],
    skip: false,
    inTest: [5],
  },
  {
    name: 'paho for Go',
    command: [goDevice],
    versions: [4, 5],
    skip: noGo,
    inTest: [],
  },
];
