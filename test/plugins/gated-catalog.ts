import type { Plugin } from '../../src/plugins/plugin';
import { catalog, catalogVariant } from './catalog';
import type { Gate } from './gate';

/** The catalog plugin as `gated`, whose discovery waits at the entry `gate` of the catalog that it begins with. */
export function gatedCatalog(gate: Gate): Plugin {
  return catalogVariant('gated', {
    async *start(context) {
      for await (const unit of catalog.firstStage.start(context)) {
        if (unit.content.fields.name === 'gate') await gate.pass();
        yield unit;
      }
    },
  });
}
