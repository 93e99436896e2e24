/**
 * Samples: what devices say, for the checks: taken from the module, and from files.
 * From: a module's `samples`; a folder: each file is one link's bytes, from its first one on.
 * To: the checks, as bytes.
 * Bound: SAMPLES_MAX of SAMPLE_BYTES_MAX each; what is no sample is one sentence.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Sample } from '../wire/module/moduleTypes.ts';
import type { SampleCommand } from './story.ts';

const SAMPLES_MAX = 200;
const SAMPLE_BYTES_MAX = 1024 * 1024;

export interface KnownSample {
  readonly name: string;
  readonly parts: readonly Buffer[];
  readonly bytes: Buffer;
  readonly commands: readonly SampleCommand[];
}

/** Throws an Error, whose message is a sentence. */
export function knownSample(sample: Sample, at: number): KnownSample {
  const { name = `sample ${at + 1}`, device, commands = [] } = (sample ?? {}) as Partial<Sample>;
  if (!Array.isArray(device)) throw new Error(`the sample ${name} has no list "device"`);
  const parts = device.map((part) => bytesOf(part, name));
  const bytes = Buffer.concat(parts);
  if (bytes.length === 0 || bytes.length > SAMPLE_BYTES_MAX) {
    throw new Error(`the sample ${name} has ${bytes.length} bytes; 1 to ${SAMPLE_BYTES_MAX} are`);
  }
  const orders = commands.map(({ topic, payload = '' }) => {
    return { topic: String(topic), payload: bytesOf(payload, name) };
  });
  return { name, parts, bytes, commands: orders };
}

export function knownSamples(samples: readonly Sample[]): readonly KnownSample[] {
  if (samples.length > SAMPLES_MAX) throw new Error(`more than ${SAMPLES_MAX} samples`);
  return samples.map(knownSample);
}

function bytesOf(part: unknown, name: string): Buffer {
  if (typeof part === 'string') return Buffer.from(part);
  if (part instanceof Uint8Array) return Buffer.from(part);
  throw new Error(`the sample ${name} has a part that is neither bytes nor text`);
}

/**
 * Of each file in it: .hex has hexadecimal digits, and # before a remark; any other one has the
 * bytes as they are.
 */
export function samplesIn(folder: string): Sample[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => {
      const bytes = readFileSync(join(folder, name));
      return { name, device: [extname(name) === '.hex' ? fromHex(bytes, name) : bytes] };
    });
}

function fromHex(text: Buffer, name: string): Buffer {
  const digits = text.toString('latin1').replaceAll(/#.*/g, '').replaceAll(/\s+/g, '');
  if (!/^(?:[0-9a-f]{2})+$/i.test(digits)) throw new Error(`${name} has no hexadecimal digits`);
  return Buffer.from(digits, 'hex');
}
