import django.db.models.deletion
import django.utils.timezone
import uuid
import verdicts.failure_models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0003_forget_answers_by_age'),
        ('branches', '0007_datasets_as_of'),
        ('verdicts', '0008_weighings'),
    ]

    operations = [
        migrations.CreateModel(
            name='Clustering',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('failures', models.PositiveBigIntegerField(help_text='how many the ledger had')),
                ('bugs', models.PositiveBigIntegerField(help_text='how many groups they made')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-at'], name='clustering_latest')],
            },
        ),
        migrations.CreateModel(
            name='Failure',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('fingerprint', models.CharField(max_length=16)),
                ('kind', models.CharField(choices=verdicts.failure_models.failure_kind_choices, max_length=16)),
                ('source', models.CharField(choices=verdicts.failure_models.source_choices, max_length=16)),
                ('message', models.TextField()),
                ('scrubbed', models.TextField()),
                ('locator', models.TextField(blank=True)),
                ('bug', models.CharField(max_length=16)),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('sightings', models.PositiveBigIntegerField(default=0, help_text='reports that found it')),
                ('runs', models.PositiveIntegerField(default=0)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('open', models.BooleanField(default=True)),
                ('returns', models.PositiveIntegerField(default=0, help_text='how often it came back')),
                ('first_report', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='verdicts.report')),
                ('last_report', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='verdicts.report')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='failures', to='access.project')),
                ('resolved_report', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='verdicts.report')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('first_at__lte', models.F('last_at'))), name='failure_times'), models.UniqueConstraint(fields=('project', 'fingerprint'), name='failure_once'), models.CheckConstraint(condition=models.Q(models.Q(('resolved_at', None), ('resolved_report', None)), models.Q(('resolved_at__isnull', False), ('resolved_report__isnull', False)), _connector='OR'), name='failure_resolution')],
                'indexes': [models.Index(fields=['project', '-last_at', '-id'], name='failure_latest'), models.Index(fields=['project', 'open', '-last_at', '-id'], name='failure_by_state'), models.Index(fields=['project', 'bug'], name='failure_of_bug')],
            },
        ),
        migrations.CreateModel(
            name='FailureEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('turn', models.CharField(choices=verdicts.failure_models.turn_choices, max_length=12)),
                ('grader', models.CharField(blank=True, choices=verdicts.failure_models.source_choices, max_length=16)),
                ('tool', models.CharField(blank=True, max_length=120)),
                ('head_seq', models.PositiveBigIntegerField(default=0)),
                ('reason', models.TextField(blank=True)),
                ('by_kind', models.CharField(max_length=8)),
                ('by_id', models.CharField(max_length=64)),
                ('by_name', models.CharField(max_length=150)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('answers', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='verdicts.failureentry')),
                ('branch', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
                ('failure', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='verdicts.failure')),
                ('report', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='turns', to='verdicts.report')),
            ],
            options={
                'verbose_name_plural': 'failure entries',
                'indexes': [models.Index(fields=['branch', 'grader', 'tool'], name='failure_turn_of_line')],
                'constraints': [models.UniqueConstraint(fields=('failure', 'report', 'turn'), name='failure_turn_once'), models.CheckConstraint(condition=models.Q(('turn__in', ['opened', 'returned', 'resolved', 'quarantined', 'lifted'])), name='failure_turn'), models.CheckConstraint(condition=models.Q(('turn__in', ['quarantined', 'lifted']), models.Q(('branch__isnull', False), ('report__isnull', False)), _connector='OR'), name='failure_turn_has_report')],
            },
        ),
        migrations.CreateModel(
            name='FailureLine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('grader', models.CharField(choices=verdicts.failure_models.source_choices, max_length=16)),
                ('tool', models.CharField(blank=True, max_length=120)),
                ('open', models.BooleanField()),
                ('returned', models.BooleanField(default=False)),
                ('seq', models.PositiveBigIntegerField()),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
                ('entry', models.ForeignKey(help_text='its last turn', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='verdicts.failureentry')),
                ('failure', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='verdicts.failure')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.run')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('open', True)), fields=['branch', 'grader', 'tool'], name='failure_line_open')],
                'constraints': [models.UniqueConstraint(fields=('branch', 'grader', 'tool', 'failure'), name='failure_line_once')],
            },
        ),
        migrations.CreateModel(
            name='KnownBug',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('bug', models.CharField(max_length=16)),
                ('kind', models.CharField(choices=verdicts.failure_models.failure_kind_choices, max_length=16)),
                ('scrubbed', models.TextField()),
                ('failures', models.PositiveBigIntegerField()),
                ('open_failures', models.PositiveBigIntegerField()),
                ('sightings', models.PositiveBigIntegerField()),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('clustered_at', models.DateTimeField()),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='known_bugs', to='access.project')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('open_failures__lte', models.F('failures'))), name='known_bug_counts'), models.UniqueConstraint(fields=('project', 'bug'), name='known_bug_once')],
                'indexes': [models.Index(fields=['project', '-failures', '-id'], name='known_bug_largest')],
            },
        ),
        migrations.AddField(
            model_name='report',
            name='in_ledger',
            field=models.BooleanField(default=False, help_text='recorded in the failure ledger'),
        ),
        migrations.AddIndex(
            model_name='report',
            index=models.Index(condition=models.Q(('in_ledger', False)), fields=['branch'], name='report_not_in_ledger'),
        ),
        migrations.AddField(
            model_name='failure',
            name='ticket',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='verdicts.failureentry'),
        ),
        migrations.AddIndex(
            model_name='failure',
            index=models.Index(condition=models.Q(('ticket__isnull', False)), fields=['project'], name='failure_held'),
        ),
    ]
