# The ML backend. The same image runs on CPU and GPU: the ordinary torch wheel holds both.
FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/wordmask
# The dependencies change seldom and are large: they get a layer of their own, the sources come after.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir backend models && touch backend/__init__.py models/__init__.py \
    && /opt/wordmask/bin/pip install -c constraints.txt . \
    && /opt/wordmask/bin/pip uninstall --yes wordmask
COPY backend backend
COPY models models
RUN /opt/wordmask/bin/pip install --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/wordmask /opt/wordmask
RUN useradd --create-home --uid 1000 wordmask && install --directory --owner wordmask /data
USER wordmask
WORKDIR /data
ENV PATH=/opt/wordmask/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WORDMASK_HOST=0.0.0.0 \
    WORDMASK_PORT=9090 \
    WORDMASK_DATA_DIR=/data
VOLUME /data
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/ready', timeout=4)"]
# One worker process with several threads: the weights are in memory once, and every thread sees the same version of them.
CMD ["wordmask", "serve"]
