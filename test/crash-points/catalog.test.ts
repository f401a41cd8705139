import { crashEverywhere } from './crash-everywhere';
import { scenarios } from './scenarios';

crashEverywhere(scenarios.catalog);
