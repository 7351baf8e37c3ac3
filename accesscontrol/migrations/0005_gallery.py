"""The galleries: a table of their own, laid out by site, kept by triggers, and the search in it.

A gallery holds a row for each template and each site that the template's employee may enter.
Triggers write it in the transaction of the change itself, whoever makes that: a verb, the admin or
somebody at a prompt. They lock the employee first, so that two changes of one person follow each
other and the second sees what the first has done.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

TABLE = """
CREATE TABLE accesscontrol_gallery (
    site_id bigint NOT NULL,
    employee_id bigint NOT NULL,
    template_id bigint NOT NULL,
    model_version_id bigint NOT NULL,
    rotation_id varchar(16) NOT NULL,
    embedding halfvec NOT NULL,
    CONSTRAINT gallery_template_once_a_site PRIMARY KEY (site_id, employee_id, template_id)
) PARTITION BY LIST (site_id);
-- In the row up to 8 kB, where other tables put what is longer than 2 kB apart.
ALTER TABLE accesscontrol_gallery ALTER COLUMN embedding SET STORAGE PLAIN;

-- Who must be in which gallery; the triggers copy from here, `manage.py check_gallery` compares.
CREATE VIEW accesscontrol_gallery_due AS
SELECT place.site_id, template.employee_id, template.id AS template_id,
       template.model_version_id, template.rotation_id, template.embedding
FROM accesscontrol_template AS template
JOIN accesscontrol_employee AS employee ON employee.id = template.employee_id
CROSS JOIN LATERAL (
    SELECT employee.site_id
    UNION
    SELECT admission.site_id FROM accesscontrol_admission AS admission
    WHERE admission.employee_id = employee.id
) AS place
WHERE employee.is_active;
"""
TABLE_REVERSE = """
DROP VIEW accesscontrol_gallery_due;
DROP TABLE accesscontrol_gallery;
"""

# Attaching leaves searches and enrolments at other sites alone; CREATE ... PARTITION OF would not.
SITES = """
CREATE FUNCTION accesscontrol_gallery_add_site(place bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := 'accesscontrol_gallery_' || place;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE accesscontrol_gallery INCLUDING ALL)', partition);
    EXECUTE format('ALTER TABLE accesscontrol_gallery ATTACH PARTITION %I FOR VALUES IN (%s)',
                   partition, place);
END $$;
CREATE FUNCTION accesscontrol_gallery_site() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    partition text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM accesscontrol_gallery_add_site(NEW.id);
    ELSIF TG_OP = 'DELETE' THEN
        EXECUTE format('DROP TABLE %I', 'accesscontrol_gallery_' || OLD.id);
    ELSE  -- TRUNCATE
        FOR partition IN
            SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = 'accesscontrol_gallery'::regclass
        LOOP
            EXECUTE format('DROP TABLE %s', partition);
        END LOOP;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER gallery AFTER INSERT OR DELETE ON accesscontrol_site
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_gallery_site();
CREATE TRIGGER gallery_of_all AFTER TRUNCATE ON accesscontrol_site
    FOR EACH STATEMENT EXECUTE FUNCTION accesscontrol_gallery_site();
"""
SITES_REVERSE = """
DROP TRIGGER gallery_of_all ON accesscontrol_site;
DROP TRIGGER gallery ON accesscontrol_site;
DROP FUNCTION accesscontrol_gallery_site();
DROP FUNCTION accesscontrol_gallery_add_site(bigint);
"""

PEOPLE = """
CREATE FUNCTION accesscontrol_gallery_places(person bigint) RETURNS bigint[] LANGUAGE sql STABLE
RETURN ARRAY(
    SELECT site_id FROM accesscontrol_employee WHERE id = person
    UNION
    SELECT site_id FROM accesscontrol_admission WHERE employee_id = person
);

CREATE FUNCTION accesscontrol_gallery_refresh(person bigint, places bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accesscontrol_employee WHERE id = person FOR NO KEY UPDATE;
    DELETE FROM accesscontrol_gallery WHERE site_id = ANY (places) AND employee_id = person;
    INSERT INTO accesscontrol_gallery
        (site_id, employee_id, template_id, model_version_id, rotation_id, embedding)
    SELECT site_id, employee_id, template_id, model_version_id, rotation_id, embedding
    FROM accesscontrol_gallery_due WHERE employee_id = person AND site_id = ANY (places);
END $$;

CREATE FUNCTION accesscontrol_gallery_employee() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM accesscontrol_gallery_refresh(
        NEW.id, OLD.site_id || accesscontrol_gallery_places(NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER gallery AFTER UPDATE ON accesscontrol_employee
    FOR EACH ROW
    WHEN (OLD.site_id <> NEW.site_id OR OLD.is_active <> NEW.is_active)
    EXECUTE FUNCTION accesscontrol_gallery_employee();

CREATE FUNCTION accesscontrol_gallery_admission() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM accesscontrol_gallery_refresh(OLD.employee_id, ARRAY[OLD.site_id]);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM accesscontrol_gallery_refresh(NEW.employee_id, ARRAY[NEW.site_id]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER gallery AFTER INSERT OR UPDATE OR DELETE ON accesscontrol_admission
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_gallery_admission();
"""
PEOPLE_REVERSE = """
DROP TRIGGER gallery ON accesscontrol_admission;
DROP FUNCTION accesscontrol_gallery_admission();
DROP TRIGGER gallery ON accesscontrol_employee;
DROP FUNCTION accesscontrol_gallery_employee();
DROP FUNCTION accesscontrol_gallery_refresh(bigint, bigint[]);
DROP FUNCTION accesscontrol_gallery_places(bigint);
"""

TEMPLATES = """
CREATE FUNCTION accesscontrol_gallery_template() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places bigint[];
BEGIN
    PERFORM FROM accesscontrol_employee WHERE id IN (OLD.employee_id, NEW.employee_id)
    ORDER BY id FOR NO KEY UPDATE;
    IF TG_OP <> 'INSERT' THEN
        places := accesscontrol_gallery_places(OLD.employee_id);
        DELETE FROM accesscontrol_gallery
        WHERE site_id = ANY (places) AND employee_id = OLD.employee_id AND template_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO accesscontrol_gallery
            (site_id, employee_id, template_id, model_version_id, rotation_id, embedding)
        SELECT site_id, employee_id, template_id, model_version_id, rotation_id, embedding
        FROM accesscontrol_gallery_due WHERE template_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER gallery AFTER INSERT OR UPDATE OR DELETE ON accesscontrol_template
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_gallery_template();

CREATE FUNCTION accesscontrol_gallery_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE accesscontrol_gallery;
    RETURN NULL;
END $$;
CREATE TRIGGER gallery_of_all AFTER TRUNCATE ON accesscontrol_template
    FOR EACH STATEMENT EXECUTE FUNCTION accesscontrol_gallery_empty();
"""
TEMPLATES_REVERSE = """
DROP TRIGGER gallery_of_all ON accesscontrol_template;
DROP FUNCTION accesscontrol_gallery_empty();
DROP TRIGGER gallery ON accesscontrol_template;
DROP FUNCTION accesscontrol_gallery_template();
"""

# One statement for each site of the batch, with the site's number in it: the planner then opens
# that site's partition alone. The exact form orders by the column as it is and no vector index can
# be made of that, for it has no dimension; an index is of the expression embedding::halfvec(D),
# of one partition, model version and rotation, which only the other form asks for.
#
# The other form takes the nearest 100 templates. Where they are of fewer people than wanted, and
# there are more templates, the probe is searched again exactly.
SEARCH = """
CREATE FUNCTION accesscontrol_nearest(
    sites bigint[], probes halfvec[], of_version bigint, of_rotation text, wanted integer,
    by_index boolean DEFAULT NULL  -- NULL: where an index is in use
) RETURNS TABLE (number bigint, employee_id bigint, score float8) LANGUAGE plpgsql STABLE AS $fn$
DECLARE
    gallery record;
    exact text;
    indexed text;
    built record;
    size integer := (SELECT dimension FROM accesscontrol_modelversion WHERE id = of_version);
BEGIN
    FOR gallery IN
        SELECT probe.site_id, array_agg(probe.number) AS numbers, array_agg(probe.vector) AS vectors
        FROM unnest(sites, probes) WITH ORDINALITY AS probe (site_id, vector, number)
        GROUP BY probe.site_id
    LOOP
        exact := format($sql$
            SELECT probe.number, nearest.employee_id, nearest.score
            FROM %%s AS probe (number, vector)
            CROSS JOIN LATERAL (
                SELECT entry.employee_id,
                       max(-(entry.embedding <#> probe.vector))::float8 AS score
                FROM accesscontrol_gallery AS entry
                WHERE entry.site_id = %s AND entry.model_version_id = %s
                  AND entry.rotation_id = %L
                GROUP BY entry.employee_id ORDER BY score DESC LIMIT $3
            ) AS nearest $sql$, gallery.site_id, of_version, of_rotation);
        SELECT * INTO built FROM accesscontrol_galleryindex AS found
        WHERE found.site_id = gallery.site_id AND found.model_version_id = of_version
          AND found.rotation_id = of_rotation;
        IF NOT coalesce(by_index, built.in_use, false) THEN
            RETURN QUERY EXECUTE format(exact, 'unnest($1, $2)')
            USING gallery.numbers, gallery.vectors, wanted;
            CONTINUE;
        END IF;
        PERFORM set_config('hnsw.ef_search', coalesce(built.ef_search, 200)::text, true);
        indexed := format($sql$
            SELECT probe.number, entry.employee_id, entry.distance
            FROM unnest($1, $2) AS probe (number, vector)
            CROSS JOIN LATERAL (
                SELECT employee_id, embedding::halfvec(%1$s) <#> probe.vector AS distance
                FROM accesscontrol_gallery
                WHERE site_id = %2$s AND model_version_id = %3$s AND rotation_id = %4$L
                ORDER BY embedding::halfvec(%1$s) <#> probe.vector LIMIT 100
            ) AS entry $sql$, size, gallery.site_id, of_version, of_rotation);
        RETURN QUERY EXECUTE format($sql$
            WITH entry AS MATERIALIZED (%s),
            person AS MATERIALIZED (
                SELECT number, employee_id, max(-distance)::float8 AS score,
                       row_number() OVER (PARTITION BY number ORDER BY max(-distance) DESC) AS rank
                FROM entry GROUP BY number, employee_id
            ),
            short AS MATERIALIZED (
                SELECT probe.number, probe.vector FROM unnest($1, $2) AS probe (number, vector)
                LEFT JOIN person ON person.number = probe.number
                GROUP BY probe.number, probe.vector HAVING count(person.employee_id) < $3
            )
            SELECT number, employee_id, score FROM person
            WHERE rank <= $3 AND number NOT IN (SELECT short.number FROM short)
            UNION ALL %s $sql$, indexed, format(exact, 'short'))
        USING gallery.numbers, gallery.vectors, wanted;
    END LOOP;
END $fn$;
"""
SEARCH_REVERSE = """
DROP FUNCTION accesscontrol_nearest(bigint[], halfvec[], bigint, text, integer, boolean);
"""

FILL = """
SELECT accesscontrol_gallery_add_site(id) FROM accesscontrol_site;
INSERT INTO accesscontrol_gallery
    (site_id, employee_id, template_id, model_version_id, rotation_id, embedding)
SELECT site_id, employee_id, template_id, model_version_id, rotation_id, embedding
FROM accesscontrol_gallery_due;
"""


class Migration(migrations.Migration):
    dependencies = [("accesscontrol", "0004_refusals_by_quality")]

    operations = [
        migrations.CreateModel(
            name="Admission",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "admitted_at",
                    models.DateTimeField(auto_now_add=True, verbose_name="admitted at"),
                ),
                (
                    "admitted_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "employee",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="admissions",
                        to="accesscontrol.employee",
                        verbose_name="employee",
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="admissions",
                        to="accesscontrol.site",
                        verbose_name="site",
                    ),
                ),
            ],
            options={
                "verbose_name": "admission",
                "verbose_name_plural": "admissions",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("employee", "site"), name="admission_once_a_site"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GalleryIndex",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rotation_id", models.CharField(max_length=16)),
                (
                    "templates",
                    models.PositiveIntegerField(
                        help_text="At the last check.", verbose_name="templates"
                    ),
                ),
                ("recall", models.FloatField(blank=True, null=True, verbose_name="recall")),
                ("probes", models.PositiveIntegerField(default=0, verbose_name="probes")),
                (
                    "ef_search",
                    models.PositiveSmallIntegerField(
                        default=200,
                        help_text="Entries that a search keeps in view: more find more, slower.",
                    ),
                ),
                ("in_use", models.BooleanField(default=False, verbose_name="in use")),
                ("built_at", models.DateTimeField(auto_now_add=True, verbose_name="built at")),
                (
                    "checked_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="checked at"),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="accesscontrol.modelversion"
                    ),
                ),
                (
                    "site",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="gallery_indexes",
                        to="accesscontrol.site",
                        verbose_name="site",
                    ),
                ),
            ],
            options={
                "verbose_name": "gallery index",
                "verbose_name_plural": "gallery indexes",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("site", "model_version", "rotation_id"), name="one_index_a_gallery"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("in_use", False),
                            models.Q(("recall__gte", 0.999), ("recall__isnull", False)),
                            _connector="OR",
                        ),
                        name="gallery_index_in_use_finds_whom_exact_search_finds",
                    ),
                ],
            },
        ),
        migrations.RunSQL(TABLE, TABLE_REVERSE),
        migrations.RunSQL(SITES, SITES_REVERSE),
        migrations.RunSQL(PEOPLE, PEOPLE_REVERSE),
        migrations.RunSQL(TEMPLATES, TEMPLATES_REVERSE),
        migrations.RunSQL(SEARCH, SEARCH_REVERSE),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
