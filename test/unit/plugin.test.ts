import { describe, expect, it } from '@jest/globals';

import { defineContent } from '../../src/plugins/content-type';
import type { OwnStage } from '../../src/plugins/own-stage';
import { definePlugin, insertStage, standardPipeline } from '../../src/plugins/plugin';
import type { DeclaredUnit, Step } from '../../src/plugins/plugin';

const Thing = defineContent({
  name: 'test.thing',
  table: 'things',
  fields: { name: 'text', someNumber: 'integer?' },
  naturalKey: ['name', 'someNumber'],
});
// eslint-disable-next-line @typescript-eslint/require-await
const start: Step = async function* (): AsyncGenerator<DeclaredUnit> {
  yield { content: Thing.declare({ name: 'a', someNumber: null }) };
};
const stage: OwnStage = { kind: 'batch', run: () => Promise.resolve() };

function define(values: Partial<Parameters<typeof definePlugin>[0]>): ReturnType<typeof definePlugin> {
  return definePlugin({ name: 'test', contents: [Thing], firstStage: { start }, ...values });
}

function without(...stages: string[]): string[] {
  return standardPipeline.filter((each) => !stages.includes(each));
}

describe('definePlugin', () => {
  it('fills in the standard pipeline', () => {
    expect(define({})).toMatchObject({ pipeline: standardPipeline, stages: {}, saveHooks: {}, migrations: [] });
  });

  it('lets a stage stand between two others, be left out, or the order be another one', () => {
    const pipeline = insertStage(standardPipeline, 'own', { before: 'saveContents' });
    expect(pipeline.indexOf('own')).toBe(pipeline.indexOf('saveContents') - 1);
    expect(define({ pipeline, stages: { own: stage } }).pipeline).toEqual(pipeline);
    define({ pipeline: without('saveRemoteArtifacts', 'queryExistingArtifacts') });
    define({ pipeline: ['saveContents', 'associateContents'] });
    define({
      pipeline: [
        'queryExistingArtifacts',
        'downloadArtifacts',
        'saveArtifacts',
        'queryExistingContents',
        'saveContents',
        'associateContents',
        'resolveContentFutures',
        'saveRemoteArtifacts',
      ],
    });
  });

  it.each([
    [
      'names a stage that does not exist',
      { pipeline: ['saveContent'] },
      'names the stage "saveContent", which does not',
    ],
    [
      'names a stage twice',
      { pipeline: [...standardPipeline, 'saveContents'] },
      'names the stage "saveContents" twice',
    ],
    ['is empty', { pipeline: [] }, 'leaves out "saveContents"'],
    ['saves no content', { pipeline: without('saveContents') }, 'leaves out "saveContents"'],
    ['associates nothing', { pipeline: without('associateContents') }, 'leaves out "associateContents"'],
    [
      'downloads and does not save',
      { pipeline: without('saveArtifacts') },
      '"downloadArtifacts" without "saveArtifacts"',
    ],
    [
      'queries content that is saved already',
      { pipeline: [...without('queryExistingContents'), 'queryExistingContents'] },
      'has "saveContents" before "queryExistingContents", which has to come first',
    ],
    [
      'associates before it saves',
      { pipeline: ['associateContents', ...without('associateContents')] },
      'has "associateContents" before "saveContents"',
    ],
    [
      'resolves futures before it saves',
      { pipeline: ['resolveContentFutures', ...without('resolveContentFutures')] },
      'has "resolveContentFutures" before "saveContents"',
    ],
    [
      'never resolves the futures of a step',
      { pipeline: without('resolveContentFutures'), firstStage: { start, more: start } },
      'the step "more" of its first stage could never run',
    ],
    ['leaves out a stage of its own', { stages: { own: stage } }, 'its own stage "own" is not in its pipeline'],
  ])('refuses a pipeline that %s', (_, values, message) => {
    expect(() => define(values)).toThrow(message);
    expect(() => define(values)).toThrow('Plugin "test"');
  });

  it('refuses names that are taken', () => {
    expect(() => define({ stages: { saveContents: stage } })).toThrow('the name of a standard stage');
    expect(() => define({ contents: [Thing, Thing] })).toThrow('two content types have the same name');
  });

  it('says which content type it does not have', () => {
    expect(define({}).content('test.thing')).toBe(Thing);
    expect(define({}).hasContent('test.other')).toBe(false);
    expect(() => define({}).content('test.other')).toThrow('Plugin "test" has no content type "test.other"');
  });
});

describe('insertStage', () => {
  it('refuses a place that is not there', () => {
    expect(() => insertStage(['saveContents'], 'own', { before: 'nothing' })).toThrow('no stage "nothing"');
  });
});

describe('defineContent', () => {
  it('gives each field its column', () => {
    expect(Thing.columns).toEqual([
      { field: 'name', name: 'name', type: 'text', nullable: false },
      { field: 'someNumber', name: 'some_number', type: 'integer', nullable: true },
    ]);
    expect(Thing.key({ name: 'a' })).toEqual({ type: 'test.thing', key: { name: 'a' } });
  });

  it('refuses a natural key that is none', () => {
    const values = { name: 'test.none', table: 'none', fields: { name: 'text' } } as const;
    expect(() => defineContent({ ...values, naturalKey: [] })).toThrow('"test.none": it has no natural key');
    expect(() => defineContent({ ...values, naturalKey: ['nome' as 'name'] })).toThrow(
      'names "nome", which is no field',
    );
  });
});
