import type { Statement } from '../../core/statement.js'

/** The statements that re-encrypt rows. */
export const reencryptStatements = (table: string) =>
  ({
    encryptedOtherwise: {
      name: `${table}:encrypted-otherwise`,
      text: `
      -- $1 name of the current encryptor, $2 id of the last row of the page before, $3 limit
      SELECT * FROM "${table}"
      WHERE encryptor <> $1 AND id > $2
      ORDER BY id
      LIMIT $3`,
    },

    countEncryptedOtherwise: {
      name: `${table}:count-encrypted-otherwise`,
      text: `SELECT count(*) FROM "${table}" WHERE encryptor <> $1`,
    },

    allowReencryption: {
      name: 'async-gen:allow-reencryption',
      text: `SELECT set_config('async_gen.reencrypt', 'on', true)`,
    },

    // Rows that run, or that have changed since they were read, are left for the next time.
    reencrypt: {
      name: `${table}:reencrypt`,
      text: `
      -- $1 ids, $2 args, $3 results, $4 errors, $5 name of the current encryptor
      UPDATE "${table}" AS attempt SET
        args = row.args::jsonb,
        result = row.result::jsonb,
        errors = row.errors::jsonb,
        progress_message = NULL,
        encryptor = $5
      FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS row (id, args, result, errors)
      WHERE attempt.id = row.id AND attempt.status <> 'running'
        AND jsonb_array_length(attempt.errors) = jsonb_array_length(row.errors::jsonb)
        AND (attempt.result IS NULL) = (row.result IS NULL)
      RETURNING attempt.id`,
    },
  }) satisfies Record<string, Statement>
