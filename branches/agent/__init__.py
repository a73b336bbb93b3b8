"""A worker that continues claimable forks, and the two minds that it can use."""
