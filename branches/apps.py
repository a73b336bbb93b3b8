from django.apps import AppConfig


class BranchesConfig(AppConfig):
    name = "branches"

    def ready(self) -> None:
        from branches import triplets, waits
        from verel_site.inbox.kinds import register_kind
        from verel_site.outbox.promises import register_deliverer

        register_deliverer(triplets.DELIVERY, triplets.deliver_triplet)
        register_deliverer(triplets.WITHDRAWAL, triplets.deliver_withdrawal)
        register_kind(waits.KIND)
