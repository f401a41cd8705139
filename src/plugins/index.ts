import { InvalidSetting } from '../errors';
import { file } from './file';
import type { Plugin } from './plugin';

/** The plugins of this installation. A new one adds its line here, and nothing else outside its folder. */
export const plugins: readonly Plugin[] = [file];

/** Finds plugins by name. */
export class PluginRegistry {
  private readonly byName: ReadonlyMap<string, Plugin>;

  constructor(readonly all: readonly Plugin[] = plugins) {
    this.byName = new Map(all.map((plugin) => [plugin.name, plugin]));
  }

  /** @throws {@link InvalidSetting} naming the plugins that there are. */
  get(name: string): Plugin {
    const plugin = this.byName.get(name);
    if (!plugin) {
      const known = this.all.map((each) => each.name).join(', ');
      throw new InvalidSetting(`There is no plugin "${name}"; the plugins here are: ${known}.`, {
        expected: known,
        found: name,
      });
    }
    return plugin;
  }
}
