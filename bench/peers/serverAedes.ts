/** aedes on plain `net`, everything at its defaults. */
import { Aedes } from 'aedes';
import { serve } from '../lib/serve.ts';

const broker = await Aedes.createBroker();
serve(broker.handle);
