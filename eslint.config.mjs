import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const restricted = (patterns) => ['error', { patterns }];

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'coverage/']),
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
    },
  },
  {
    // What Temporal replays: nothing but the workflow API, the folder's own files, and types.
    files: ['workflows/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': restricted([
        {
          regex: '^(?!@temporalio/workflow$|\\./)',
          allowTypeImports: true,
          message: 'Workflow code imports only @temporalio/workflow, its own files, and types.',
        },
      ]),
      'no-restricted-globals': ['error', 'process', 'Buffer', 'fetch', 'setImmediate'],
    },
  },
  {
    files: ['src/**/*.ts', 'activities/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': restricted([
        {
          regex: '/workflows/(?!messages)',
          message: 'Only the messages of a workflow may be imported from outside workflows/.',
        },
      ]),
    },
  },
);
