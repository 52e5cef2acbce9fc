"""The organisers' console. Whatever it changes is an act, with a reason, and stands in the audit trail."""
