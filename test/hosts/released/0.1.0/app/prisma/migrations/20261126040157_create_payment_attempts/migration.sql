-- CreateEnum
CREATE TYPE "payment_attempt_status" AS ENUM ('pending', 'running', 'succeeded', 'failed', 'expired', 'cancelled');

-- CreateTable
CREATE TABLE "payment_attempts" (
    "id" BIGSERIAL NOT NULL,
    "type" TEXT,
    "target" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "args" JSONB NOT NULL DEFAULT '[]',
    "encryptor" TEXT,
    "status" "payment_attempt_status" NOT NULL DEFAULT 'pending',
    "priority" INTEGER NOT NULL DEFAULT 10,
    "num_attempts" INTEGER NOT NULL DEFAULT 0,
    "max_attempts" INTEGER NOT NULL DEFAULT 25,
    "idempotence_token" TEXT,
    "scheduled_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(6),
    "completed_at" TIMESTAMPTZ(6),
    "result" JSONB,
    "errors" JSONB NOT NULL DEFAULT '[]',
    "locked_by" INTEGER,
    "parent_id" BIGINT,
    "trace_context" JSONB,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "payment_attempts_pkey" PRIMARY KEY ("id")
);

-- AddForeignKey
ALTER TABLE "payment_attempts" ADD CONSTRAINT "payment_attempts_parent_id_fkey" FOREIGN KEY ("parent_id") REFERENCES "payment_attempts"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- One call for each token. Indexes hold no more rows than they have to, here and below, since every call changes its row twice.
CREATE UNIQUE INDEX "payment_attempts_token" ON "payment_attempts"("target", "method", "idempotence_token") WHERE "idempotence_token" IS NOT NULL;
CREATE INDEX "payment_attempts_children" ON "payment_attempts"("parent_id") WHERE "parent_id" IS NOT NULL;

-- What the sweep looks at: calls that wait, and calls that somebody makes. Never those that are done.
CREATE INDEX "payment_attempts_due" ON "payment_attempts"("scheduled_at", "id") WHERE "status" = 'pending';
CREATE INDEX "payment_attempts_running" ON "payment_attempts"("locked_by") WHERE "status" = 'running';

-- What metrics count, and what retention deletes.
CREATE INDEX "payment_attempts_failed" ON "payment_attempts"("completed_at") WHERE "status" = 'failed';
CREATE INDEX "payment_attempts_done" ON "payment_attempts"("completed_at") WHERE "completed_at" IS NOT NULL;

-- The queue follows the row: whatever inserts a call, or makes one due again, enqueues its Graphile Worker job in the
-- same transaction. Where Graphile Worker has not been installed yet, the worker's sweep enqueues later.
-- Graphile Worker runs low priorities first, attempts run high ones first.
CREATE FUNCTION "payment_attempts_enqueue"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_regproc('graphile_worker.add_jobs') IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM graphile_worker.add_jobs(array_agg((
            'payment_attempt',
            json_build_object('id', "id"::text),
            NULL,
            "scheduled_at",
            NULL,
            'payment_attempt:' || "id",
            greatest(-32768, least(32767, -"priority")),
            NULL
        )::graphile_worker.job_spec ORDER BY "priority" DESC, "scheduled_at", "id"))
        FROM inserted
        WHERE "status" = 'pending'
        HAVING count(*) > 0;
    ELSE
        PERFORM graphile_worker.add_job(
            'payment_attempt',
            json_build_object('id', NEW."id"::text),
            run_at => NEW."scheduled_at",
            job_key => 'payment_attempt:' || NEW."id",
            priority => greatest(-32768, least(32767, -NEW."priority"))
        );
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER "payment_attempts_enqueue_inserted"
    AFTER INSERT ON "payment_attempts"
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT
    EXECUTE FUNCTION "payment_attempts_enqueue"();

CREATE TRIGGER "payment_attempts_enqueue_updated"
    AFTER UPDATE ON "payment_attempts"
    FOR EACH ROW WHEN (
        NEW."status" = 'pending'
        AND (NEW."status", NEW."scheduled_at", NEW."priority") IS DISTINCT FROM (OLD."status", OLD."scheduled_at", OLD."priority")
    )
    EXECUTE FUNCTION "payment_attempts_enqueue"();

-- What is to be called, with what, and under which token is settled when the row is made. Only PaymentAttempt.reencrypt(), which
-- changes how the same arguments are encrypted, passes.
CREATE FUNCTION "payment_attempts_refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'target, method, args, idempotence_token and encryptor of payment_attempts cannot change after creation'
        USING ERRCODE = 'integrity_constraint_violation', HINT = 'Cancel the attempt and create another.';
END;
$$;

CREATE TRIGGER "payment_attempts_immutable"
    BEFORE UPDATE OF "target", "method", "args", "idempotence_token", "encryptor" ON "payment_attempts"
    FOR EACH ROW WHEN (
        (NEW."target", NEW."method", NEW."args", NEW."idempotence_token", NEW."encryptor")
        IS DISTINCT FROM (OLD."target", OLD."method", OLD."args", OLD."idempotence_token", OLD."encryptor")
        AND current_setting('async_gen.reencrypt', true) IS DISTINCT FROM 'on'
    )
    EXECUTE FUNCTION "payment_attempts_refuse_change"();
