# syntax=docker/dockerfile:1
# One file for CPU and GPU, and for both services of deploy/compose.yaml; docs/operating.md says how to run it.
#   docker build -t resnet-viz .                                     # CPU
#   docker build -t resnet-viz:cuda --build-arg TORCH_INDEX=cu130 .  # CUDA, run with `--gpus all`
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
# A folder of the wheel index of PyTorch: cpu, or a version of CUDA.
ARG TORCH_INDEX=cpu
# Extras of pyproject.toml that the image gets.
ARG EXTRAS=[remote,serve,signin]
WORKDIR /srv/resnet-viz
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt pyproject.toml README.md LICENSE ./
# What seldom changes first: these layers are built anew only when the requirements change. torch comes from its own index, so
# that no other build of it is taken.
RUN grep -E '^torch(vision)?[<=>]' requirements.txt > /tmp/torch.txt \
    && pip install --index-url "https://download.pytorch.org/whl/${TORCH_INDEX}" -r /tmp/torch.txt
RUN grep -v '^-e ' requirements.txt > /tmp/libraries.txt \
    && pip install -r /tmp/libraries.txt
COPY resnet_viz resnet_viz
COPY app app
# An editable install finds those packages alone that are there when it is made.
RUN pip install -e ".${EXTRAS}"
COPY assets assets
# The weights are those of their cards, or there is no image; the readiness route checks them again at every start.
RUN mkdir /weights \
    && python -m compileall -q app resnet_viz \
    && python -c "import resnet_viz as rv; [rv.load(m.name, device='cpu') for m in rv.list_models() if m.source == 'shipped']"

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="ResNet Viz" \
      org.opencontainers.image.description="What every residual block of a ResNet does with your image" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /srv/resnet-viz
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/resnet-viz /srv/resnet-viz
# Official weights that are downloaded: a volume here keeps them.
COPY --from=build --chown=10001:10001 /weights /weights
# Nothing else is written but to /tmp: the root file system can be read-only. The allocator settings keep the memory of a pass
# for the next one; see the Makefile.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    TORCH_HOME=/weights \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_TRIM_THRESHOLD_=17179869184 \
    MALLOC_MMAP_THRESHOLD_=17179869184 \
    MALLOC_TOP_PAD_=268435456
USER 10001:10001
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/ready', timeout=9)"]
CMD ["streamlit", "run", "app/main.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true", "--server.fileWatcherType=none"]
