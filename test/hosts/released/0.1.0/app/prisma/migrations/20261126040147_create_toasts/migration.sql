-- CreateTable
CREATE TABLE "toasts" (
    "id" BIGSERIAL NOT NULL,
    "name" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "args" JSONB,
    "epoch" INTEGER NOT NULL DEFAULT 0,
    "value" JSONB,
    "version" TEXT,
    "value_epoch" INTEGER,
    "cached_at" TIMESTAMPTZ(6),
    "elapsed" DOUBLE PRECISION,
    "expires_in" DOUBLE PRECISION,
    "expires_at" TIMESTAMPTZ(6),
    "task" TEXT NOT NULL DEFAULT 'refresh_toast',
    "trace_context" JSONB,
    "refresh_at" TIMESTAMPTZ(6),
    "wanted_version" TEXT,
    "wanted_epoch" INTEGER NOT NULL DEFAULT 0,
    "locked_by" INTEGER,
    "run" INTEGER NOT NULL DEFAULT 0,
    "progress" DOUBLE PRECISION,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "error" JSONB,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "toasts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "async_workers" (
    "id" SERIAL NOT NULL,
    "host" TEXT NOT NULL,
    "pid" INTEGER NOT NULL,
    "version" TEXT NOT NULL,
    "pool_id" TEXT,
    "tasks" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "started_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "async_workers_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "toasts_key_name_key" ON "toasts"("key", "name");

-- What the sweep looks at: refreshes that are due, those that somebody computes, and values that have had their time.
CREATE INDEX "toasts_due" ON "toasts"("refresh_at") WHERE "refresh_at" IS NOT NULL;
CREATE INDEX "toasts_running" ON "toasts"("locked_by") WHERE "locked_by" IS NOT NULL;
CREATE INDEX "toasts_expired" ON "toasts"("expires_at") WHERE "expires_at" IS NOT NULL;

-- The queue follows the row: a refresh that is asked for gets a Graphile Worker job in the same transaction. One that
-- somebody computes already needs none. Where Graphile Worker has not been installed yet, the worker's sweep enqueues later.
CREATE FUNCTION "toasts_enqueue"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_regproc('graphile_worker.add_jobs') IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM graphile_worker.add_jobs(array_agg((
            "task",
            json_build_object('name', "name", 'key', "key"),
            NULL,
            "refresh_at",
            NULL,
            'toast:' || "id",
            NULL,
            NULL
        )::graphile_worker.job_spec))
        FROM inserted
        WHERE "refresh_at" IS NOT NULL AND "locked_by" IS NULL
        HAVING count(*) > 0;
    ELSE
        PERFORM graphile_worker.add_job(
            NEW."task",
            json_build_object('name', NEW."name", 'key', NEW."key"),
            run_at => NEW."refresh_at",
            job_key => 'toast:' || NEW."id"
        );
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER "toasts_enqueue_inserted"
    AFTER INSERT ON "toasts"
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_enqueue"();

CREATE TRIGGER "toasts_enqueue_updated"
    AFTER UPDATE ON "toasts"
    FOR EACH ROW WHEN (
        NEW."refresh_at" IS NOT NULL
        AND NEW."locked_by" IS NULL
        AND NEW."refresh_at" IS DISTINCT FROM OLD."refresh_at"
    )
    EXECUTE FUNCTION "toasts_enqueue"();

-- For triggers on the tables that values are computed from (`npx async-gen install --invalidate-on <Model>`), and for you:
-- SELECT toasts_invalidate('oat', ARRAY['7']). Keys are what to_jsonb("id")::text says. The next reader gets the value that
-- is there, as a stale one, and asks for another. One that is stale already, and that nobody computes, is only locked, so that
-- nobody begins to compute it before this transaction ends. Rows are locked in the same order by everybody.
CREATE FUNCTION "toasts_invalidate"("model" text, "keys" text[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH "outdated" AS (
        SELECT "id", "epoch" IS NOT DISTINCT FROM "value_epoch" OR "locked_by" IS NOT NULL AS "counts"
        FROM "toasts"
        WHERE "key" = ANY ("keys") AND starts_with("name", "model" || '.')
        ORDER BY "key", "name"
        FOR UPDATE
    )
    UPDATE "toasts" SET "epoch" = "epoch" + 1 FROM "outdated" WHERE "toasts"."id" = "outdated"."id" AND "counts";
$$;

-- The same for records that are gone: their toasts go with them.
CREATE FUNCTION "toasts_forget"("model" text, "keys" text[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH "gone" AS (
        SELECT "id" FROM "toasts"
        WHERE "key" = ANY ("keys") AND starts_with("name", "model" || '.')
        ORDER BY "key", "name"
        FOR UPDATE
    )
    DELETE FROM "toasts" USING "gone" WHERE "toasts"."id" = "gone"."id";
$$;

-- What those triggers call, once for each statement: with the name of the model that has the toasts, and an expression that
-- makes of a changed row the key of its toasts. A TRUNCATE changes all rows, and tells of none.
CREATE FUNCTION "toasts_keys"("model" text) RETURNS text[] LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT array_agg(DISTINCT "key") FROM "toasts" WHERE starts_with("name", "model" || '.');
$$;

CREATE FUNCTION "toasts_invalidate_on_change"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    "changed" CONSTANT text := CASE TG_OP
        WHEN 'INSERT' THEN 'TABLE "new_rows"'
        WHEN 'DELETE' THEN 'TABLE "old_rows"'
        ELSE 'TABLE "old_rows" UNION ALL TABLE "new_rows"'
    END;
    "keys" text[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        "keys" := "toasts_keys"(TG_ARGV[0]);
    ELSE
        EXECUTE format('SELECT array_agg(DISTINCT %s) FROM (%s) AS "changed"', TG_ARGV[1], "changed") INTO "keys";
    END IF;
    PERFORM "toasts_invalidate"(TG_ARGV[0], "keys");
    RETURN NULL;
END;
$$;

CREATE FUNCTION "toasts_forget_on_delete"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    "keys" text[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        "keys" := "toasts_keys"(TG_ARGV[0]);
    ELSE
        EXECUTE format('SELECT array_agg(%s) FROM "old_rows"', TG_ARGV[1]) INTO "keys";
    END IF;
    PERFORM "toasts_forget"(TG_ARGV[0], "keys");
    RETURN NULL;
END;
$$;
