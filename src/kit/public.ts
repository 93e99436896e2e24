/**
 * Public: what the package gives to authors of protocol modules, as `owsla/protocol`.
 * From: their tests.  To: the kit; the types are those of wire/module/moduleTypes.ts.
 * Bound: the kit's.
 */
import { framing as readyMade } from '../wire/module/framing.ts';
import type { CheckProtocol, Framing } from '../wire/module/moduleTypes.ts';
import { checkModule } from './kit.ts';

const checkProtocol: CheckProtocol = (path, options) => checkModule(path, options);
const framing: Framing = readyMade;

export { checkProtocol, framing };
