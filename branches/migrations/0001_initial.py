import branches.models
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Branch',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(help_text='0 is the trunk; forks count up in the run')),
                ('fork_seq', models.PositiveBigIntegerField(blank=True, null=True)),
                ('base', models.PositiveBigIntegerField(default=0)),
                ('name', models.CharField(blank=True, max_length=120)),
                ('status', models.CharField(choices=branches.models.status_choices, db_index=True, default='running', max_length=16)),
                ('head_seq', models.PositiveBigIntegerField(default=0)),
                ('head_position', models.PositiveBigIntegerField(default=0)),
                ('head_digest', models.BinaryField(default=b'\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00', max_length=32)),
                ('head_seal', models.BinaryField(default=b'\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00', max_length=32)),
                ('fork_digest', models.BinaryField(default=b'\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00', max_length=32)),
                ('forked_by', models.CharField(blank=True, max_length=150)),
                ('override', models.TextField(blank=True)),
                ('note', models.TextField(blank=True)),
                ('tokens', models.PositiveBigIntegerField(default=0, help_text='output tokens that events told')),
                ('claimable', models.BooleanField(default=False)),
                ('lease_epoch', models.PositiveBigIntegerField(default=0)),
                ('lease_worker', models.CharField(blank=True, max_length=120)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('touched_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='branches.branch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='branches', to='access.project')),
            ],
            options={
                'verbose_name_plural': 'branches',
                'indexes': [models.Index(condition=models.Q(('claimable', True)), fields=['project', 'lease_expires_at'], name='branch_claimable')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('fork_seq', None), ('parent', None)), models.Q(('fork_seq__gte', 1), ('parent__isnull', False)), _connector='OR'), name='branch_fork_point')],
            },
        ),
        migrations.CreateModel(
            name='Dataset',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('format', models.CharField(max_length=16)),
                ('filter', models.JSONField(default=dict)),
                ('manifest', models.JSONField(default=dict)),
                ('files', models.JSONField(default=dict, help_text='file name to archive key')),
                ('created_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='datasets', to='access.project')),
            ],
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(help_text='1, 2, 3 … within the project')),
                ('goal', models.TextField()),
                ('agent', models.CharField(blank=True, max_length=120)),
                ('model', models.CharField(blank=True, max_length=120)),
                ('spec', models.JSONField(default=dict)),
                ('metadata', models.JSONField(default=dict)),
                ('origin', models.CharField(blank=True, help_text='what it was imported from', max_length=200)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('touched_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='access.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-touched_at'], name='run_latest')],
                'constraints': [models.UniqueConstraint(fields=('project', 'number'), name='run_number_once')],
            },
        ),
        migrations.CreateModel(
            name='Merge',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('winner_status', models.CharField(help_text='before the merge', max_length=16)),
                ('winner_digest', models.BinaryField(max_length=32)),
                ('granularity', models.CharField(choices=branches.models.granularity_choices, default='decision', max_length=16)),
                ('note', models.TextField(blank=True)),
                ('bypass_reason', models.TextField(blank=True)),
                ('admission', models.JSONField()),
                ('by_kind', models.CharField(max_length=8)),
                ('by_id', models.CharField(max_length=64)),
                ('by_name', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('undo_until', models.DateTimeField()),
                ('reverted_at', models.DateTimeField(blank=True, null=True)),
                ('reverted_by', models.CharField(blank=True, max_length=150)),
                ('revert_reason', models.TextField(blank=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='merges', to='access.project')),
                ('winner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='merges_won', to='branches.branch')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='merges', to='branches.run')),
            ],
            options={
                'indexes': [models.Index(fields=['project', '-created_at'], name='merge_latest')],
            },
        ),
        migrations.CreateModel(
            name='Import',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('format', models.CharField(max_length=32)),
                ('sha256', models.CharField(max_length=64)),
                ('summary', models.JSONField(default=dict)),
                ('imported_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='access.project')),
                ('run', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='branches.run')),
            ],
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('position', models.BigAutoField(primary_key=True, serialize=False)),
                ('event_id', models.UUIDField()),
                ('seq', models.PositiveBigIntegerField()),
                ('type', models.CharField(max_length=120)),
                ('source', models.CharField(max_length=200)),
                ('ts', models.DateTimeField()),
                ('received_at', models.DateTimeField()),
                ('task_id', models.UUIDField(blank=True, null=True)),
                ('parent_id', models.UUIDField(blank=True, null=True)),
                ('schema_version', models.PositiveSmallIntegerField(default=1)),
                ('payload', models.BinaryField()),
                ('digest', models.BinaryField(max_length=32)),
                ('seal', models.BinaryField(max_length=32)),
                ('branch', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='branches.branch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
                ('run', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.run')),
            ],
            options={
                'indexes': [models.Index(fields=['run', 'position'], name='event_of_run')],
                'constraints': [models.UniqueConstraint(fields=('project', 'event_id'), name='event_once'), models.UniqueConstraint(fields=('branch', 'seq'), name='event_seq_once')],
            },
        ),
        migrations.AddField(
            model_name='branch',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='branches', to='branches.run'),
        ),
        migrations.CreateModel(
            name='Triplet',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(help_text='1, 2, 3 … within the project')),
                ('granularity', models.CharField(choices=branches.models.granularity_choices, max_length=16)),
                ('prompt', models.BinaryField(help_text='compact JSON: a list of messages')),
                ('chosen', models.BinaryField()),
                ('rejected', models.BinaryField()),
                ('tools', models.BinaryField(default=b'[]')),
                ('metadata', models.JSONField()),
                ('prompt_digest', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('chosen_branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
                ('merge', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='triplets', to='branches.merge')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='triplets', to='access.project')),
                ('rejected_branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='branches.branch')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='triplets', to='branches.run')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('merge', 'rejected_branch'), name='triplet_once_per_merge_and_loser'), models.UniqueConstraint(fields=('project', 'number'), name='triplet_number_once'), models.CheckConstraint(condition=models.Q(('chosen_branch', models.F('rejected_branch')), _negated=True), name='triplet_two_sides')],
            },
        ),
        migrations.CreateModel(
            name='Blob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(max_length=64)),
                ('mime', models.CharField(max_length=120)),
                ('data', models.BinaryField()),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'sha256'), name='blob_once')],
            },
        ),
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('request_seq', models.PositiveBigIntegerField()),
                ('request_digest', models.BinaryField(max_length=32)),
                ('action', models.CharField(max_length=200)),
                ('args', models.JSONField(default=dict)),
                ('allow', models.JSONField(default=list)),
                ('description', models.TextField(blank=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('answer', models.CharField(blank=True, choices=branches.models.answer_choices, max_length=8)),
                ('answer_args', models.JSONField(blank=True, null=True)),
                ('answer_text', models.TextField(blank=True)),
                ('answered_by', models.CharField(blank=True, max_length=150)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='access.project')),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='branches.branch')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'answered_at'], name='approval_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('answer', ''), ('answered_at', None)), models.Q(models.Q(('answer', ''), _negated=True), ('answered_at__isnull', False)), _connector='OR'), name='approval_answer_and_time')],
            },
        ),
        migrations.CreateModel(
            name='Directive',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=branches.models.directive_choices, max_length=32)),
                ('body', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='directives', to='branches.branch')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='access.project')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'id'], name='directive_cursor')],
            },
        ),
        migrations.CreateModel(
            name='MergeLoser',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(help_text='before the merge', max_length=16)),
                ('digest', models.BinaryField(max_length=32)),
                ('refused', models.TextField(blank=True, help_text='why no triplet came of it')),
                ('branch', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='merges_lost', to='branches.branch')),
                ('merge', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='losers', to='branches.merge')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('merge', 'branch'), name='merge_loser_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='branch',
            constraint=models.UniqueConstraint(fields=('run', 'number'), name='branch_number_once'),
        ),
        migrations.AddConstraint(
            model_name='branch',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['running', 'paused', 'completed', 'merged', 'abandoned'])), name='branch_status'),
        ),
    ]
