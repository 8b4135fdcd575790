-- Whatever changes rows of "Topping", raw SQL and cascades too, makes the toasts of their "oat" stale.
CREATE TRIGGER "toasts_invalidate_on_insert_oat"
    AFTER INSERT ON "Topping"
    REFERENCING NEW TABLE AS "new_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_invalidate_on_change"('oat', 'to_jsonb("oatId")::text');

CREATE TRIGGER "toasts_invalidate_on_update_oat"
    AFTER UPDATE ON "Topping"
    REFERENCING OLD TABLE AS "old_rows" NEW TABLE AS "new_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_invalidate_on_change"('oat', 'to_jsonb("oatId")::text');

CREATE TRIGGER "toasts_invalidate_on_delete_oat"
    AFTER DELETE ON "Topping"
    REFERENCING OLD TABLE AS "old_rows"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_invalidate_on_change"('oat', 'to_jsonb("oatId")::text');

CREATE TRIGGER "toasts_invalidate_on_truncate_oat"
    AFTER TRUNCATE ON "Topping"
    FOR EACH STATEMENT
    EXECUTE FUNCTION "toasts_invalidate_on_change"('oat', 'to_jsonb("oatId")::text');
