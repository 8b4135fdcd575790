import { databaseSchema, environmentVariable, factories, files, migrations, sharedContext, specs } from './emissions.js'
import type { Generator, GeneratorAnswers } from './generator.js'
import { freeName, modelNames } from './names.js'

/** Background jobs, recorded in the user's transactions. */
export const attempt: Generator = {
  name: 'attempt',
  description: 'Background jobs, recorded in your transactions',
  prompts: [{ type: 'input', name: 'name', message: 'Name of the model', default: 'Attempt' }],

  owner: (answers) => `attempt ${model(answers)}`,

  emissions(host, answers) {
    const { dir } = answers
    const owner = this.owner(answers)
    const names = modelNames(model(answers))
    const encrypted = answers.encrypted ?? false
    const context = {
      ...sharedContext(host, answers),
      ...names,
      task: names.file,
      encrypted,
      key: environmentVariable('ATTEMPT_KEY', host.modules),
    }
    return [
      ...files(owner, dir, context, ['attempt/async/__file__.ts']),
      ...files(owner, dir, context, ['attempt/async/targets.ts', 'attempt/async/schedule.ts'], true),
      ...factories(host, owner, dir, context, ['attempt/async/__file__.factory.ts']),
      ...files(owner, dir, context, [
        'attempt/async/tasks/__task__.ts',
        'attempt/async/tasks/__task___batch.ts',
        ...(encrypted ? ['attempt/async/tasks/__task___reencrypt.ts'] : []),
      ]),
      ...specs(host, owner, dir, context, ['attempt/async/test/__file__.test.ts']),
      {
        kind: 'fragment',
        owner,
        name: names.table,
        template: 'attempt/schema.prisma',
        context,
        databaseSchema: databaseSchema(host),
        ifTaken: `Choose another name for the model: npx async-gen attempt ${freeName(host, ['EmailAttempt', 'CallAttempt', `Async${names.model}`])}${encrypted ? ' --encrypted' : ''}`,
      },
      ...migrations(owner, context, [
        { name: `create_${names.table}`, template: 'attempt/migrations/001_create.sql' },
        { name: `extend_${names.table}`, template: 'attempt/migrations/002_extend.sql' },
      ]),
    ]
  },

  firstEdit({ dir, encrypted }) {
    const key = encrypted ? '. Set the environment variable ATTEMPT_KEY to the output of: openssl rand -base64 32' : ''
    return `List the classes that an attempt may call in ${dir}/targets.ts${key}`
  },
}

function model({ names }: GeneratorAnswers): string {
  return names[0] ?? 'Attempt'
}
