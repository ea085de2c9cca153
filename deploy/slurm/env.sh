# Read first by every job of `landslide-dist submit` whose cluster file names it as pipeline.setup.
# Make it your site's: modules, the virtual environment, caches on a fast disk of the node.

# module load cuda/13.0
# source "$HOME/landslide/.venv/bin/activate"

# Compiled kernels: a folder that all jobs may write to, better not on a slow home.
export NUMBA_CACHE_DIR="${TMPDIR:-/tmp}/numba-$USER"
# Network of the training processes, where the first one found is not the fast one.
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
