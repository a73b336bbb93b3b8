"""A step tells which skill it took up."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0005_token_budget'),
        ('branches', '0009_pair_rules'),
        ('memory', '0009_refused_signs'),
    ]

    operations = [
        migrations.AddField(
            model_name='episode',
            name='skill',
            field=models.CharField(blank=True, help_text='that the step took up', max_length=64),
        ),
        migrations.AddIndex(
            model_name='episode',
            index=models.Index(condition=models.Q(('skill', ''), _negated=True), fields=['project', 'skill', 'position'], name='episode_of_skill'),
        ),
    ]
