"""Invariants that Django's constraints cannot express: composite foreign keys, append-only tables."""

from django.db import migrations

CONSENT = """
ALTER TABLE accesscontrol_enrolmentphoto
    ADD CONSTRAINT photo_under_live_consent_of_employee
    FOREIGN KEY (consent_id, employee_id, consent_live)
    REFERENCES accesscontrol_consent (id, employee_id, live);
ALTER TABLE accesscontrol_template
    ADD CONSTRAINT template_under_live_consent_of_employee
    FOREIGN KEY (consent_id, employee_id, consent_live)
    REFERENCES accesscontrol_consent (id, employee_id, live);
ALTER TABLE accesscontrol_template
    ADD CONSTRAINT template_of_photo_of_employee
    FOREIGN KEY (photo_id, employee_id)
    REFERENCES accesscontrol_enrolmentphoto (id, employee_id) ON DELETE CASCADE;
"""
CONSENT_REVERSE = """
ALTER TABLE accesscontrol_template DROP CONSTRAINT template_of_photo_of_employee;
ALTER TABLE accesscontrol_template DROP CONSTRAINT template_under_live_consent_of_employee;
ALTER TABLE accesscontrol_enrolmentphoto DROP CONSTRAINT photo_under_live_consent_of_employee;
"""

# halfvec holds up to 16,000 dimensions and any direction: the length is checked against the
# model version's, and a unit vector leaves no room for zeros, NaN or infinity.
VECTOR = """
ALTER TABLE accesscontrol_template
    ADD CONSTRAINT template_dimension_of_model_version
    FOREIGN KEY (model_version_id, dimension)
    REFERENCES accesscontrol_modelversion (id, dimension);
ALTER TABLE accesscontrol_template
    ADD CONSTRAINT template_has_its_dimension CHECK (vector_dims(embedding) = dimension);
ALTER TABLE accesscontrol_template
    ADD CONSTRAINT template_is_a_unit_vector CHECK (abs(l2_norm(embedding) - 1) < 0.01);
"""
VECTOR_REVERSE = """
ALTER TABLE accesscontrol_template DROP CONSTRAINT template_is_a_unit_vector;
ALTER TABLE accesscontrol_template DROP CONSTRAINT template_has_its_dimension;
ALTER TABLE accesscontrol_template DROP CONSTRAINT template_dimension_of_model_version;
"""

PUNCH = """
ALTER TABLE accesscontrol_punch
    ADD CONSTRAINT punch_of_the_accepted_employee
    FOREIGN KEY (decision_id, employee_id)
    REFERENCES accesscontrol_decision (id, employee_id);
"""
PUNCH_REVERSE = "ALTER TABLE accesscontrol_punch DROP CONSTRAINT punch_of_the_accepted_employee;"

# The scores of one model say nothing about another's threshold, nor about another site's.
DECISION = """
ALTER TABLE accesscontrol_decision
    ADD CONSTRAINT decision_by_threshold_of_its_site_and_model
    FOREIGN KEY (threshold_row_id, site_id, model_version_id)
    REFERENCES accesscontrol_threshold (id, site_id, model_version_id);
"""
DECISION_REVERSE = """
ALTER TABLE accesscontrol_decision DROP CONSTRAINT decision_by_threshold_of_its_site_and_model;
"""

APPEND_ONLY = """
CREATE FUNCTION accesscontrol_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows are never changed: add a new one', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accesscontrol_punch
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accesscontrol_auditentry
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accesscontrol_threshold
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_append_only();
-- Decisions may be deleted, when their retention ends, but not changed.
CREATE TRIGGER append_only BEFORE UPDATE ON accesscontrol_decision
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_append_only();
"""
APPEND_ONLY_REVERSE = """
DROP TRIGGER append_only ON accesscontrol_decision;
DROP TRIGGER append_only ON accesscontrol_threshold;
DROP TRIGGER append_only ON accesscontrol_auditentry;
DROP TRIGGER append_only ON accesscontrol_punch;
DROP FUNCTION accesscontrol_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("accesscontrol", "0001_nouns")]

    operations = [
        migrations.RunSQL(CONSENT, CONSENT_REVERSE),
        migrations.RunSQL(VECTOR, VECTOR_REVERSE),
        migrations.RunSQL(PUNCH, PUNCH_REVERSE),
        migrations.RunSQL(DECISION, DECISION_REVERSE),
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_REVERSE),
    ]
