"""All that changes something: each act is one transaction with its checks, its audit event and its mails.

Acts take turns (`turns.act`): no two run at the same time, so what one has checked holds until it is done. What must
never be is forbidden by the tables' constraints as well. Who may not do a thing gets a `refusals.Refusal`.
"""
