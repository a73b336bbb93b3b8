import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0003_forget_answers_by_age'),
        ('auth', '__first__'),
    ]

    operations = [
        migrations.CreateModel(
            name='Item',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=32)),
                ('subject', models.UUIDField(help_text='the row that is to be decided')),
                ('digest', models.CharField(blank=True, help_text='hex; what is to be looked at', max_length=64)),
                ('title', models.CharField(max_length=300)),
                ('about', models.CharField(blank=True, max_length=300)),
                ('flag', models.CharField(blank=True, max_length=40)),
                ('body', models.JSONField(default=dict)),
                ('required', models.PositiveSmallIntegerField(default=1)),
                ('scored', models.PositiveSmallIntegerField(default=0)),
                ('priority', models.SmallIntegerField(default=0)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('state', models.CharField(choices=[('open', 'Open'), ('done', 'Done'), ('closed', 'Closed')], default='open', max_length=8)),
                ('closed_because', models.CharField(blank=True, max_length=300)),
                ('posted_by', models.CharField(blank=True, max_length=150)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('touched_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('assignee', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='assigned_items', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='items', to='access.project')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['project', 'kind', '-priority', 'created_at', 'id'], name='item_open_by_kind'), models.Index(condition=models.Q(('state', 'open')), fields=['project', '-priority', 'created_at', 'id'], name='item_open'), models.Index(fields=['kind', 'subject'], name='item_of_subject'), models.Index(fields=['project', 'touched_at'], name='item_touched')],
                'constraints': [models.UniqueConstraint(fields=('project', 'kind', 'subject', 'digest'), name='item_once'), models.CheckConstraint(condition=models.Q(('required__gte', 1), ('scored__lte', models.F('required'))), name='item_never_over_collected'), models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('state', 'open')), models.Q(('closed_at__isnull', False), ('state__in', ['done', 'closed'])), _connector='OR'), name='item_state_and_time')],
            },
        ),
        migrations.CreateModel(
            name='Draft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('body', models.JSONField(default=dict)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='drafts', to='inbox.item')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('item', 'reviewer'), name='draft_once_per_reviewer')],
            },
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('answer', models.CharField(max_length=32)),
                ('reason', models.TextField(blank=True)),
                ('digest', models.CharField(blank=True, max_length=64)),
                ('result', models.JSONField(default=dict, help_text='what the kind needs for an undo')),
                ('counted', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('undone_at', models.DateTimeField(blank=True, null=True)),
                ('undone_by', models.CharField(blank=True, max_length=150)),
                ('undone_reason', models.TextField(blank=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='access.project')),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='inbox.item')),
            ],
            options={
                'indexes': [models.Index(fields=['reviewer', '-created_at'], name='decision_latest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('undone_at', None)), fields=('item', 'reviewer'), name='decision_once_per_reviewer')],
            },
        ),
        migrations.CreateModel(
            name='Comment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='inbox.item')),
            ],
        ),
        migrations.CreateModel(
            name='Claim',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='claims', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='claims', to='inbox.item')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('item', 'reviewer'), name='claim_once_per_reviewer')],
            },
        ),
        migrations.CreateModel(
            name='Absence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('barred', models.BooleanField(default=False, help_text='for good; a skip can be taken back')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='absences', to='inbox.item')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('item', 'reviewer'), name='absence_once_per_reviewer')],
            },
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('query', models.CharField(blank=True, max_length=500)),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('reviewer', 'name'), name='saved_view_name_once')],
            },
        ),
    ]
