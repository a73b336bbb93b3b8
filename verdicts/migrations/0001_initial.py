import django.db.models.deletion
import django.utils.timezone
import uuid
import verdicts.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
        ('auth', '__first__'),
        ('branches', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Comparison',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('first_digest', models.BinaryField(max_length=32)),
                ('second_digest', models.BinaryField(max_length=32)),
                ('first_seq', models.PositiveBigIntegerField()),
                ('second_seq', models.PositiveBigIntegerField()),
                ('created_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('first', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='comparisons', to='access.project')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='comparisons', to='branches.run')),
                ('second', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
            ],
            options={
                'indexes': [models.Index(fields=['run', '-created_at'], name='comparison_of_run')],
                'constraints': [models.UniqueConstraint(fields=('first', 'second', 'first_digest', 'second_digest'), name='comparison_of_heads_once'), models.CheckConstraint(condition=models.Q(('first', models.F('second')), _negated=True), name='comparison_two_branches')],
            },
        ),
        migrations.CreateModel(
            name='GateDecision',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('head_digest', models.BinaryField(max_length=32)),
                ('policy_version', models.PositiveIntegerField()),
                ('verdict', models.CharField(choices=verdicts.models.verdict_choices, max_length=4)),
                ('open', models.BooleanField()),
                ('reasons', models.JSONField(default=list)),
                ('attributions', models.JSONField(default=dict)),
                ('bypass_reason', models.TextField(blank=True)),
                ('by_kind', models.CharField(max_length=8)),
                ('by_id', models.CharField(max_length=64)),
                ('by_name', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='gate_decisions', to='branches.branch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='gate_decisions', to='access.project')),
            ],
            options={
                'indexes': [models.Index(fields=['branch', '-created_at'], name='gate_decision_latest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('verdict__in', ['pass', 'warn', 'fail'])), name='gate_decision_verdict'), models.CheckConstraint(condition=models.Q(('open', True), ('verdict', 'fail'), _negated=True), name='gate_never_open_on_fail')],
            },
        ),
        migrations.CreateModel(
            name='Label',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('choice', models.CharField(choices=verdicts.models.choice_choices, max_length=8)),
                ('strength', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('scores', models.JSONField(default=dict)),
                ('rationale', models.TextField(blank=True)),
                ('corrected', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_reason', models.TextField(blank=True)),
                ('chosen', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='labels_won', to='branches.branch')),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='verdicts.comparison')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='access.project')),
                ('rejected', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='labels_lost', to='branches.branch')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='labels', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-created_at'], name='label_latest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('withdrawn_at', None)), fields=('comparison', 'reviewer'), name='label_once_per_reviewer'), models.CheckConstraint(condition=models.Q(models.Q(('choice__in', ['left', 'right']), ('chosen__isnull', False), ('rejected__isnull', False)), models.Q(('choice__in', ['equal', 'both_bad']), ('chosen', None), ('rejected', None)), _connector='OR'), name='label_choice_and_branches'), models.CheckConstraint(condition=models.Q(('strength', None), models.Q(('strength__gte', 1), ('strength__lte', 5)), _connector='OR'), name='label_strength')],
            },
        ),
        migrations.CreateModel(
            name='Nonce',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('head_digest', models.BinaryField(max_length=32)),
                ('grader', models.CharField(choices=verdicts.models.grader_choices, max_length=16)),
                ('value', models.CharField(max_length=64)),
                ('used_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
            ],
            options={
                'indexes': [models.Index(fields=['branch', 'grader'], name='nonce_of_branch')],
                'constraints': [models.UniqueConstraint(fields=('value',), name='nonce_used_once')],
            },
        ),
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField()),
                ('required', models.JSONField(default=list)),
                ('receipts_required', models.BooleanField(default=True, help_text='A required grader without a frozen suite owes a receipt too.')),
                ('warn_may_merge', models.BooleanField(default=True)),
                ('advisory_window', models.PositiveSmallIntegerField(default=1, help_text='An advisory grader warns when most of its last M runs do.')),
                ('created_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='policies', to='access.project')),
            ],
            options={
                'verbose_name_plural': 'policies',
                'constraints': [models.UniqueConstraint(fields=('project', 'version'), name='policy_version_once'), models.CheckConstraint(condition=models.Q(('version__gte', 1)), name='policy_version_counts'), models.CheckConstraint(condition=models.Q(('advisory_window__gte', 1), ('advisory_window__lte', 99)), name='policy_window')],
            },
        ),
        migrations.CreateModel(
            name='Report',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('order', models.PositiveIntegerField()),
                ('head_digest', models.BinaryField(max_length=32)),
                ('head_seq', models.PositiveBigIntegerField()),
                ('grader', models.CharField(choices=verdicts.models.grader_choices, max_length=16)),
                ('verdict', models.CharField(choices=verdicts.models.verdict_choices, max_length=4)),
                ('summary', models.TextField(blank=True)),
                ('errored', models.BooleanField(default=False)),
                ('model', models.CharField(blank=True, max_length=120)),
                ('cost_usd', models.DecimalField(blank=True, decimal_places=6, max_digits=14, null=True)),
                ('elapsed_ms', models.PositiveBigIntegerField(blank=True, null=True)),
                ('capabilities', models.JSONField(default=list)),
                ('artifacts', models.JSONField(default=dict, help_text='name to reference')),
                ('trace', models.JSONField(default=dict)),
                ('schema_version', models.CharField(default='2.0', max_length=8)),
                ('receipt', models.TextField(blank=True)),
                ('receipt_standing', models.CharField(blank=True, choices=verdicts.models.standing_choices, max_length=16)),
                ('receipt_fault', models.TextField(blank=True)),
                ('receipt_claims', models.JSONField(default=dict, help_text='suite_digest, inputs_digest, covered_files, result_digest')),
                ('result_digest', models.CharField(max_length=64)),
                ('raw_sha256', models.CharField(max_length=64)),
                ('by_kind', models.CharField(max_length=8)),
                ('by_id', models.CharField(max_length=64)),
                ('by_name', models.CharField(max_length=150)),
                ('received_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='branches.branch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='access.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-received_at'], name='report_latest')],
                'constraints': [models.UniqueConstraint(fields=('branch', 'order'), name='report_order_once'), models.CheckConstraint(condition=models.Q(('grader__in', ['vision', 'dom', 'ocr', 'cv', 'test', 'typecheck', 'lint', 'llm_judge', 'perf', 'security', 'contract', 'cost', 'other', 'human'])), name='report_grader'), models.CheckConstraint(condition=models.Q(('verdict__in', ['pass', 'warn', 'fail'])), name='report_verdict')],
            },
        ),
        migrations.CreateModel(
            name='Issue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('kind', models.CharField(choices=verdicts.models.kind_choices, max_length=16)),
                ('severity', models.CharField(choices=verdicts.models.severity_choices, max_length=8)),
                ('confidence', models.CharField(choices=verdicts.models.confidence_choices, max_length=6)),
                ('source', models.CharField(choices=verdicts.models.grader_choices, max_length=16)),
                ('message', models.TextField()),
                ('locator', models.TextField(blank=True)),
                ('locator_precise', models.BooleanField(default=False)),
                ('fingerprint', models.CharField(db_index=True, max_length=16)),
                ('detail', models.JSONField(default=dict)),
                ('report', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='issues', to='verdicts.report')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('report', 'position'), name='issue_position_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['contrast', 'overflow', 'broken_image', 'error_text', 'typo', 'blank', 'layout', 'clipped', 'overlap', 'missing_element', 'intent_mismatch', 'test_failure', 'type_error', 'lint', 'vulnerability', 'regression', 'budget', 'other'])), name='issue_kind'), models.CheckConstraint(condition=models.Q(('severity__in', ['info', 'warning', 'error', 'critical'])), name='issue_severity'), models.CheckConstraint(condition=models.Q(('confidence__in', ['high', 'medium', 'low'])), name='issue_confidence'), models.CheckConstraint(condition=models.Q(('source__in', ['vision', 'dom', 'ocr', 'cv', 'test', 'typecheck', 'lint', 'llm_judge', 'perf', 'security', 'contract', 'cost', 'other', 'human'])), name='issue_source')],
            },
        ),
        migrations.CreateModel(
            name='Runner',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('key_id', models.CharField(max_length=64)),
                ('public_key', models.BinaryField(max_length=32)),
                ('valid_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('valid_until', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('registered_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runners', to='access.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'key_id'), name='runner_key_once'), models.CheckConstraint(condition=models.Q(('valid_until', None), ('valid_until__gt', models.F('valid_from')), _connector='OR'), name='runner_validity')],
            },
        ),
        migrations.AddField(
            model_name='report',
            name='runner',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='verdicts.runner'),
        ),
        migrations.CreateModel(
            name='SideOrder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('swapped', models.BooleanField()),
                ('drawn_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('comparison', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='sides', to='verdicts.comparison')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('comparison', 'reviewer'), name='sides_drawn_once')],
            },
        ),
        migrations.CreateModel(
            name='Suite',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('grader', models.CharField(choices=verdicts.models.grader_choices, max_length=16)),
                ('name', models.CharField(max_length=120)),
                ('digest', models.CharField(max_length=64)),
                ('owner', models.CharField(max_length=150)),
                ('frozen_at', models.DateTimeField(blank=True, null=True)),
                ('retired_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='suites', to='access.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'grader', 'digest'), name='suite_once'), models.CheckConstraint(condition=models.Q(('grader__in', ['vision', 'dom', 'ocr', 'cv', 'test', 'typecheck', 'lint', 'llm_judge', 'perf', 'security', 'contract', 'cost', 'other', 'human'])), name='suite_grader')],
            },
        ),
        migrations.AddConstraint(
            model_name='report',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('receipt', ''), ('receipt_standing', '')), models.Q(models.Q(('receipt', ''), _negated=True), ('receipt_standing__in', ['valid', 'forged', 'unknown_runner', 'revoked_runner', 'expired'])), _connector='OR'), name='report_receipt_standing'),
        ),
        migrations.AddConstraint(
            model_name='report',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('receipt_standing', 'valid'), _negated=True), ('runner__isnull', False), _connector='OR'), name='report_valid_receipt_has_runner'),
        ),
    ]
