-- Whatever changes a row of "Oat", raw SQL too, makes its toasts stale. They go when it goes.
CREATE TRIGGER "toasts_invalidate_on_update_oat"
    AFTER UPDATE ON "Oat"
    REFERENCING OLD TABLE AS "old_rows" NEW TABLE AS "new_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_invalidate_on_change"('oat', 'to_jsonb("id")::text');

CREATE TRIGGER "toasts_invalidate_on_delete_oat"
    AFTER DELETE ON "Oat"
    REFERENCING OLD TABLE AS "old_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_forget_on_delete"('oat', 'to_jsonb("id")::text');

CREATE TRIGGER "toasts_invalidate_on_truncate_oat"
    AFTER TRUNCATE ON "Oat"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_forget_on_delete"('oat', 'to_jsonb("id")::text');
