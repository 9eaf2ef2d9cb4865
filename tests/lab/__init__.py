"""The test lab: private MariaDB servers, laptops ("nodes") with an agent each, links between
them that can be made to fail, and a comparison of databases that uses no agent code.

Where is what:

======== ======================================================================
places   folders of a run, and who removes them
process  child processes that never outlive the tests
ports    free TCP ports that no other test takes
waiting  until(): the only place where a test waits
server   Server: one private mariadbd
load     SQL files into a server (campus, Chinook)
compare  are two databases equal, by our own reading of them
proxy    Proxy: a link that can be cut, stalled, doubled, changed, counted
node     Node: one laptop (server, app database, agent.conf, agent)
blank    Blank: a laptop on which nothing is set up yet, for scripts/setup and the docs
backup   dumps and copies of datadirs, as people make them
clock    a server's clock set wrong while it runs (clock.c)
pair     Pair and Cluster: laptops that are each other's peers
hand     what tests do beside the agent: transactions, unseen writes, looks
seed     random numbers that can be replayed with TANDEM_SEED
demo     what scripts/demo shows
======== ======================================================================
"""

from lab.node import Node
from lab.pair import Cluster, Pair
from lab.proxy import Exchange, Fault, Proxy
from lab.server import Server
from lab.waiting import until

__all__ = ["Cluster", "Exchange", "Fault", "Node", "Pair", "Proxy", "Server", "until"]
