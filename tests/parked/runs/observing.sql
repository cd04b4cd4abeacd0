BEGIN TRANSACTION;
CREATE TABLE audit (
        seq INTEGER NOT NULL,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        role TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        what TEXT NOT NULL,
        why TEXT NOT NULL,
        evidence TEXT,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (seq)
    );
INSERT INTO "audit" VALUES(1,'2026-03-02T12:00:00.000000+00:00','T1:UADA','','run.created','staging-1','deploy v1.4.0-rc.2 of shop to staging','','{"about":{"changes_url":"","durations":{"approval_expires_s":86400.0,"observation_s":30,"rollout_timeout_s":600.0},"images":["registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","registry.example/acme/worker@sha256:2222222222222222222222222222222222222222222222222222222222222222"],"release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},"plan":"95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657","setting":"setting-1"}','0000000000000000000000000000000000000000000000000000000000000000','408b1d90efda9583d3238be8f00c34aae1b59f46c74763878f3a9b5fc7d29a74');
INSERT INTO "audit" VALUES(2,'2026-03-02T12:00:00.000000+00:00','forge','','run.started','staging-1','v1.4.0-rc.2 on staging','',NULL,'408b1d90efda9583d3238be8f00c34aae1b59f46c74763878f3a9b5fc7d29a74','2128a9d90a40d40930922820c21be1f4939fb55ca477e74d11ea6c2b4691790a');
INSERT INTO "audit" VALUES(3,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/0','Release candidate','','{"attempt":1}','2128a9d90a40d40930922820c21be1f4939fb55ca477e74d11ea6c2b4691790a','5b383c346e5ca93001e8bb5efdf80213d54162968e1fd23c657e8adca2c68dd8');
INSERT INTO "audit" VALUES(4,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/0','Release candidate: pass','v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc','[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"tag object","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","window_s":null},{"at":null,"limit":null,"name":"commit","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"cccccccccccccccccccccccccccccccccccccccc","window_s":null},{"at":null,"limit":null,"name":"signer","samples":null,"source":"","unit":"","value":"ann@example.com","window_s":null}],"gate":"candidate tag","outcome":"pass","reason":"v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"sha256:1111111111111111111111111111111111111111111111111111111111111111","name":"web","samples":null,"source":"registry.example/acme/web:v1.4.0-rc.2","unit":"","value":"sha256:1111111111111111111111111111111111111111111111111111111111111111","window_s":null},{"at":null,"limit":"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"worker","samples":null,"source":"registry.example/acme/worker:v1.4.0-rc.2","unit":"","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222","window_s":null}],"gate":"image digests","outcome":"pass","reason":"the images of web and worker still have the frozen digests","remedy":""}]','5b383c346e5ca93001e8bb5efdf80213d54162968e1fd23c657e8adca2c68dd8','8ae69d073424be02f46ebbc81e4dc32ba324d84f74d8ddcecd196220c2a2c756');
INSERT INTO "audit" VALUES(5,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/1','CI green','','{"attempt":1}','8ae69d073424be02f46ebbc81e4dc32ba324d84f74d8ddcecd196220c2a2c756','0ed7997aff7af6d921c28f0fa8dab35185bb7f2fa26ddfcfece228de2a5e7e35');
INSERT INTO "audit" VALUES(6,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/1','CI green: pass','1 of 1 checks are green on cccccccccccc','[{"code":"ok","evidence":[{"at":null,"limit":1,"name":"green checks","samples":null,"source":"cccccccccccccccccccccccccccccccccccccccc","unit":"count","value":1,"window_s":null}],"gate":"CI green","outcome":"pass","reason":"1 of 1 checks are green on cccccccccccc","remedy":""}]','0ed7997aff7af6d921c28f0fa8dab35185bb7f2fa26ddfcfece228de2a5e7e35','b76e22cdff9e5fe6d9de1c5ddfd254737b634143f55dd1fc8b45a45692fd5e04');
INSERT INTO "audit" VALUES(7,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/2','Workloads deployable','','{"attempt":1}','b76e22cdff9e5fe6d9de1c5ddfd254737b634143f55dd1fc8b45a45692fd5e04','50359ebb6076fe7dff28320f7a3379fc1c809e32b3629bec9558d8d2534a89e9');
INSERT INTO "audit" VALUES(8,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/2','Workloads deployable: pass','web has both probes and 2 replicas','[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"web","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"web has both probes and 2 replicas","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":null,"name":"worker","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"worker has both probes and 2 replicas","remedy":""}]','50359ebb6076fe7dff28320f7a3379fc1c809e32b3629bec9558d8d2534a89e9','16b7853b7b6e04f9fe569f52b143a32acc6e89c7f94cbbac2f3b6552cc0ce781');
INSERT INTO "audit" VALUES(9,'2026-03-02T12:00:00.000000+00:00','forge','','approval.opened','staging-1','Deploy to staging','','{"expires":"2026-03-03T12:00:00+00:00","plan":"95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657","roles":["service_owner"]}','16b7853b7b6e04f9fe569f52b143a32acc6e89c7f94cbbac2f3b6552cc0ce781','1a14482f34c49bb2bcaf4952682fe3db228590bce750bb6c5f0c21855f95fe2b');
INSERT INTO "audit" VALUES(10,'2026-03-02T12:00:00.000000+00:00','T1:USAM','service_owner','approval.approve','staging-1','Deploy to staging','','{"plan":"95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657"}','1a14482f34c49bb2bcaf4952682fe3db228590bce750bb6c5f0c21855f95fe2b','c12b5de0605ef62191d6384902d5547484fce212b8aff17e9d4421473edfbc81');
INSERT INTO "audit" VALUES(11,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/4','Remember the images that run now','','{"attempt":1}','c12b5de0605ef62191d6384902d5547484fce212b8aff17e9d4421473edfbc81','358e562b28455c4845bfed76fa8ee5a39a933b718bd9ef9104bab7fce667821c');
INSERT INTO "audit" VALUES(12,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/4','Remember the images that run now: pass','web runs registry.example/acme/old@sha256:0','[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/web","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"web runs registry.example/acme/old@sha256:0","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/worker","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"worker runs registry.example/acme/old@sha256:0","remedy":""}]','358e562b28455c4845bfed76fa8ee5a39a933b718bd9ef9104bab7fce667821c','e40376eed06535290ee0b0d141db15e672bece2564cf2a6988cf1a5be607388c');
INSERT INTO "audit" VALUES(13,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/5','Deploy web','','{"attempt":1}','e40376eed06535290ee0b0d141db15e672bece2564cf2a6988cf1a5be607388c','b1d28aeee19980702a0ed8d8ee7c81897c1aabf283406600d659a56680291aca');
INSERT INTO "audit" VALUES(14,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/5','Deploy web: pass','2 of 2 replicas are Available after 0 s','[{"code":"ok","evidence":[{"at":null,"limit":2,"name":"available","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null},{"at":null,"limit":2,"name":"updated","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null},{"at":null,"limit":600.0,"name":"elapsed","samples":null,"source":"","unit":"s","value":0.0,"window_s":null}],"gate":"rollout of web","outcome":"pass","reason":"2 of 2 replicas are Available after 0 s","remedy":""}]','b1d28aeee19980702a0ed8d8ee7c81897c1aabf283406600d659a56680291aca','d9c8ce04103d35458b2e190b1901a84a905ab5754e95ea6a9773bbc26469de58');
INSERT INTO "audit" VALUES(15,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/6','Deploy worker','','{"attempt":1}','d9c8ce04103d35458b2e190b1901a84a905ab5754e95ea6a9773bbc26469de58','5a323c9586f1c511e862e460fcf95af88f3dfb06860618797f855e5218a36e9f');
INSERT INTO "audit" VALUES(16,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/6','Deploy worker: pass','2 of 2 replicas are Available after 0 s','[{"code":"ok","evidence":[{"at":null,"limit":2,"name":"available","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null},{"at":null,"limit":2,"name":"updated","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null},{"at":null,"limit":600.0,"name":"elapsed","samples":null,"source":"","unit":"s","value":0.0,"window_s":null}],"gate":"rollout of worker","outcome":"pass","reason":"2 of 2 replicas are Available after 0 s","remedy":""}]','5a323c9586f1c511e862e460fcf95af88f3dfb06860618797f855e5218a36e9f','0dfbe96f16a5cbdf241067bd803234f1440dff752337eb93b907779e3fbd67be');
INSERT INTO "audit" VALUES(17,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/7','Smoke tests','','{"attempt":1}','0dfbe96f16a5cbdf241067bd803234f1440dff752337eb93b907779e3fbd67be','cc7ad0450fb8988e9a510897aaba9a711ad6c6fdd04d67323473dada2f69d303');
INSERT INTO "audit" VALUES(18,'2026-03-02T12:00:00.010000+00:00','forge','','step.finished','staging-1/7','Smoke tests: pass','GET /health/live answered 200 in 10 ms','[{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/live","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: liveness","outcome":"pass","reason":"GET /health/live answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/ready","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: readiness","outcome":"pass","reason":"GET /health/ready answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/startup","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: startup","outcome":"pass","reason":"GET /health/startup answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200","name":"status","samples":null,"source":"POST http://shop.staging/api/orders","unit":"","value":200,"window_s":null},{"at":null,"limit":5.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: order","outcome":"pass","reason":"POST /api/orders answered 200 in 10 ms","remedy":""}]','cc7ad0450fb8988e9a510897aaba9a711ad6c6fdd04d67323473dada2f69d303','6654a83278f79bbc0bbd357ae0c76ad0e726ed2c0d917e339f01ed15167f06fc');
INSERT INTO "audit" VALUES(19,'2026-03-02T12:00:00.010000+00:00','forge','','step.started','staging-1/8','Observe key metrics and health','','{"attempt":1}','6654a83278f79bbc0bbd357ae0c76ad0e726ed2c0d917e339f01ed15167f06fc','e6df6cfa0e041f26258fb8ede69547d2697689139a5871fc1128577fa6de86e3');
CREATE TABLE buttons (
        id TEXT NOT NULL,
        action TEXT NOT NULL,
        run TEXT NOT NULL,
        "index" INTEGER,
        plan_hash TEXT NOT NULL,
        argument TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (id)
    );
INSERT INTO "buttons" VALUES('2H-KGD5BXcKV9JQZ','pause','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('YILIgp-gzxk7cexj','resume','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('M8-EIIscxXOrxKNn','abort','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('_FPfwjZ1zxbr_GLs','retry','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('0uvYaW9JXXU8n8UR','cancel','staging-1',NULL,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('an-UQkuxsiHvVFiR','approve','staging-1',3,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('SqPFNxLO7l6rZCCC','reject','staging-1',3,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('GfwSEgyE6O61BW0d','withdraw','staging-1',3,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',NULL,'2026-03-02T12:00:00.000000+00:00');
CREATE TABLE checkpoints (
        seq INTEGER NOT NULL,
        instance TEXT NOT NULL,
        hash TEXT NOT NULL,
        at TEXT NOT NULL,
        key_id TEXT NOT NULL,
        signature TEXT NOT NULL,
        reason TEXT NOT NULL,
        places TEXT,
        stored_at TEXT NOT NULL,
        PRIMARY KEY (seq)
    );
CREATE TABLE clicks (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        actor TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        roles TEXT,
        decision TEXT NOT NULL,
        plan_hash TEXT NOT NULL,
        reason TEXT NOT NULL,
        at TEXT NOT NULL,
        withdrawn_at TEXT,
        void_at TEXT
    );
INSERT INTO "clicks" VALUES(1,'staging-1',3,'T1:USAM','Sam','["service_owner"]','approve','95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657','','2026-03-02T12:00:00.000000+00:00',NULL,NULL);
CREATE TABLE counters (
        series TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (series)
    );
INSERT INTO "counters" VALUES('runs:staging',1);
CREATE TABLE decisions (
        run TEXT NOT NULL,
        service TEXT NOT NULL,
        environment TEXT NOT NULL,
        version TEXT NOT NULL,
        result TEXT NOT NULL,
        release TEXT,
        approvers TEXT,
        at TEXT NOT NULL,
        PRIMARY KEY (run)
    );
CREATE TABLE locks (
        environment TEXT NOT NULL,
        service TEXT NOT NULL,
        owner TEXT NOT NULL,
        owner_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        run TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (environment, service)
    );
CREATE TABLE meta (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (name)
    );
INSERT INTO "meta" VALUES('instance','0ae9e0ac5aec2de4');
INSERT INTO "meta" VALUES('last_batch','07628874a571:72');
CREATE TABLE outgoing (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        kind TEXT NOT NULL,
        run TEXT NOT NULL,
        payload TEXT,
        broadcast BOOLEAN NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        not_before TEXT,
        error TEXT NOT NULL,
        created_at TEXT NOT NULL,
        sent_at TEXT
    );
INSERT INTO "outgoing" VALUES(1,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(2,'answer:1','answer','staging-1','{"blocks":[{"text":{"text":":white_check_mark: staging-1 has started: v1.4.0-rc.2 of shop to staging.","type":"mrkdwn","verbatim":true},"type":"section"}],"received":1,"text":"staging-1 has started: v1.4.0-rc.2 of shop to staging."}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(3,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(4,'note:staging-1:step:0:1:1','note','staging-1','{"mention":[],"text":"","title":"Release candidate: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"tag object","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","window_s":null},{"at":null,"limit":null,"name":"commit","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"cccccccccccccccccccccccccccccccccccccccc","window_s":null},{"at":null,"limit":null,"name":"signer","samples":null,"source":"","unit":"","value":"ann@example.com","window_s":null}],"gate":"candidate tag","outcome":"pass","reason":"v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"sha256:1111111111111111111111111111111111111111111111111111111111111111","name":"web","samples":null,"source":"registry.example/acme/web:v1.4.0-rc.2","unit":"","value":"sha256:1111111111111111111111111111111111111111111111111111111111111111","window_s":null},{"at":null,"limit":"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"worker","samples":null,"source":"registry.example/acme/worker:v1.4.0-rc.2","unit":"","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222","window_s":null}],"gate":"image digests","outcome":"pass","reason":"the images of web and worker still have the frozen digests","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(5,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(6,'note:staging-1:step:1:1:1','note','staging-1','{"mention":[],"text":"","title":"CI green: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":1,"name":"green checks","samples":null,"source":"cccccccccccccccccccccccccccccccccccccccc","unit":"count","value":1,"window_s":null}],"gate":"CI green","outcome":"pass","reason":"1 of 1 checks are green on cccccccccccc","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(7,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(8,'note:staging-1:step:2:1:1','note','staging-1','{"mention":[],"text":"","title":"Workloads deployable: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"web","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"web has both probes and 2 replicas","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":null,"name":"worker","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"worker has both probes and 2 replicas","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(9,'approval:staging-1:3:1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(10,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(11,'approval:staging-1:3:1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(12,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(13,'answer:2','answer','staging-1','{"blocks":[{"text":{"text":":white_check_mark: You approved staging-1: Deploy to staging. All 1 given.","type":"mrkdwn","verbatim":true},"type":"section"}],"received":2,"text":"You approved staging-1: Deploy to staging. All 1 given."}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(14,'note:staging-1:step:4:1:1','note','staging-1','{"mention":[],"text":"","title":"Remember the images that run now: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/web","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"web runs registry.example/acme/old@sha256:0","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/worker","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"worker runs registry.example/acme/old@sha256:0","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(15,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(16,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(17,'note:staging-1:step:5:1:1','note','staging-1','{"mention":[],"text":"","title":"Deploy web: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":2,"name":"available","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null},{"at":null,"limit":2,"name":"updated","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null},{"at":null,"limit":600.0,"name":"elapsed","samples":null,"source":"","unit":"s","value":0.0,"window_s":null}],"gate":"rollout of web","outcome":"pass","reason":"2 of 2 replicas are Available after 0 s","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(18,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(19,'note:staging-1:step:6:1:1','note','staging-1','{"mention":[],"text":"","title":"Deploy worker: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":2,"name":"available","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null},{"at":null,"limit":2,"name":"updated","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null},{"at":null,"limit":600.0,"name":"elapsed","samples":null,"source":"","unit":"s","value":0.0,"window_s":null}],"gate":"rollout of worker","outcome":"pass","reason":"2 of 2 replicas are Available after 0 s","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(20,'note:staging-1:step:7:1:1','note','staging-1','{"mention":[],"text":"","title":"Smoke tests: passed","tone":"good","verdicts":[{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/live","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: liveness","outcome":"pass","reason":"GET /health/live answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/ready","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: readiness","outcome":"pass","reason":"GET /health/ready answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/startup","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: startup","outcome":"pass","reason":"GET /health/startup answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200","name":"status","samples":null,"source":"POST http://shop.staging/api/orders","unit":"","value":200,"window_s":null},{"at":null,"limit":5.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: order","outcome":"pass","reason":"POST /api/orders answered 200 in 10 ms","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.010000+00:00','2026-03-02T12:00:00.010000+00:00');
INSERT INTO "outgoing" VALUES(21,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.010000+00:00','2026-03-02T12:00:00.010000+00:00');
CREATE TABLE posted (
        subject TEXT NOT NULL,
        run TEXT NOT NULL,
        channel TEXT NOT NULL,
        ts TEXT NOT NULL,
        thread_ts TEXT NOT NULL,
        permalink TEXT NOT NULL,
        rendered TEXT NOT NULL,
        posted_at TEXT NOT NULL,
        PRIMARY KEY (subject)
    );
INSERT INTO "posted" VALUES('headline:staging-1','staging-1','C1','1.0','','https://slack.test/1.0','37a5195d2b1cc6b314340ff377d0333315f749f990540b6a45704cd92496afd0','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:0:1:1','staging-1','C1','2.0','1.0','https://slack.test/2.0','c10fbcfaca696937ca006b30f56a301b97fd06a96741960261d28184918ae05b','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:1:1:1','staging-1','C1','3.0','1.0','https://slack.test/3.0','4094a5454283ffb198043b50595f30c38d2f8f92921146ab4d607fb1c39025ff','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:2:1:1','staging-1','C1','4.0','1.0','https://slack.test/4.0','30cb313b7be8b5e91a5df39b1d893898a5b8e94fef9638f7d3813ba642702b9d','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('approval:staging-1:3:1','staging-1','C1','5.0','1.0','https://slack.test/5.0','e3dba9adb36c7af55e6e294f36c245e9ca0cb4dac085c3a6bd03bb8dfd4ba545','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:4:1:1','staging-1','C1','6.0','1.0','https://slack.test/6.0','8c8cedeff69f0746b416d9c5db53a6211047bd7d43cf9b5b8831c3b6f4d5ce2b','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:5:1:1','staging-1','C1','7.0','1.0','https://slack.test/7.0','ec435fed547c9925b0b6a4162e6bdb1d8e5ecbf11d32ee09425a9a30696b2c19','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:6:1:1','staging-1','C1','8.0','1.0','https://slack.test/8.0','a498ee0aca46491920072bb031f4f9fda0d96850b813bb63bc14b45a9c86f5f0','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:7:1:1','staging-1','C1','9.0','1.0','https://slack.test/9.0','b27c6b1afad46d0590290f815693c7053d68e39ff58a3d934b5cf4793ea422bb','2026-03-02T12:00:00.010000+00:00');
CREATE TABLE received (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        dedup TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT,
        received_at TEXT NOT NULL,
        done_at TEXT,
        result TEXT NOT NULL,
        UNIQUE (dedup)
    );
INSERT INTO "received" VALUES(1,'https://hooks.slack.test/1','command','{"channel":"C1","command":"/forge","response_url":"https://hooks.slack.test/1","team":"T1","text":"deploy staging v1.4.0-rc.2","user":"UADA"}','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00','run.started');
INSERT INTO "received" VALUES(2,'https://hooks.slack.test/2','command','{"channel":"C1","command":"/forge","response_url":"https://hooks.slack.test/2","team":"T1","text":"approve staging-1","user":"USAM"}','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00','approval.granted');
CREATE TABLE runs (
        id TEXT NOT NULL,
        number INTEGER NOT NULL,
        service TEXT NOT NULL,
        environment TEXT NOT NULL,
        procedure TEXT NOT NULL,
        version TEXT NOT NULL,
        arguments TEXT,
        requester TEXT NOT NULL,
        requester_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL,
        ending TEXT,
        ending_code TEXT NOT NULL,
        ending_reason TEXT NOT NULL,
        position INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        plan_hash TEXT NOT NULL,
        setting_hash TEXT NOT NULL,
        facts TEXT,
        interrupt TEXT,
        first_effect_at TEXT,
        paused_at TEXT,
        created_at TEXT NOT NULL,
        ended_at TEXT,
        PRIMARY KEY (id)
    );
INSERT INTO "runs" VALUES('staging-1',1,'shop','staging','staging','v1.4.0-rc.2','{"version":"v1.4.0-rc.2"}','T1:UADA','Ada','','running',NULL,'','',8,1,'95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657','setting-1','{"previous":{"web":{"app":"registry.example/acme/old@sha256:0"},"worker":{"app":"registry.example/acme/old@sha256:0"}}}',NULL,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00',NULL);
CREATE TABLE schema_versions (
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        applied_at TEXT NOT NULL,
        PRIMARY KEY (number)
    );
INSERT INTO "schema_versions" VALUES(1,'first','2026-11-23T02:41:22.967894+00:00');
CREATE TABLE seen_tags (
        service TEXT NOT NULL,
        tag TEXT NOT NULL,
        tag_object TEXT NOT NULL,
        "commit" TEXT NOT NULL,
        first_seen_at TEXT NOT NULL,
        PRIMARY KEY (service, tag)
    );
INSERT INTO "seen_tags" VALUES('shop','v1.4.0-rc.2','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','cccccccccccccccccccccccccccccccccccccccc','2026-03-02T12:00:00.000000+00:00');
CREATE TABLE segments (
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        procedure TEXT NOT NULL,
        plan TEXT NOT NULL,
        hash TEXT NOT NULL,
        first_index INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        replaced_at TEXT,
        PRIMARY KEY (run, number)
    );
INSERT INTO "segments" VALUES('staging-1',1,'staging','{"about":{"changes_url":"","durations":{"approval_expires_s":86400.0,"observation_s":30,"rollout_timeout_s":600.0},"images":["registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","registry.example/acme/worker@sha256:2222222222222222222222222222222222222222222222222222222222222222"],"release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},"environment":"staging","nodes":[{"checks":[{"kind":"candidate_tag","release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":0.0,"retries":2,"retry_wait_s":5.0,"title":"Release candidate"},{"checks":[{"commit":"cccccccccccccccccccccccccccccccccccccccc","kind":"ci_green","repository":"acme/shop","required":[]}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":1800.0,"retries":2,"retry_wait_s":5.0,"title":"CI green"},{"checks":[{"health":{"live":"/health/live","ready":"/health/ready","startup":"/health/startup"},"kind":"deployable","workloads":[{"container":"app","image":"registry.example/acme/web","name":"web"},{"container":"app","image":"registry.example/acme/worker","name":"worker"}]}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":0.0,"retries":2,"retry_wait_s":5.0,"title":"Workloads deployable"},{"expires_s":86400.0,"kind":"approval","on_fail":"stop","purpose":"deploy","retries":2,"retry_wait_s":5.0,"roles":["service_owner"],"title":"Deploy to staging"},{"kind":"remember_images","on_fail":"stop","retries":2,"retry_wait_s":5.0,"title":"Remember the images that run now","workloads":[{"container":"app","image":"registry.example/acme/web","name":"web"},{"container":"app","image":"registry.example/acme/worker","name":"worker"}]},{"guards":[{"above":true,"for_s":300.0,"limit":0.03,"metric":"forge:error_ratio:1m","name":"error rate","track":"stable","unit":"ratio"},{"above":true,"for_s":300.0,"limit":1.0,"metric":"forge:latency_p95_seconds:1m","name":"API p95 latency","track":"stable","unit":"s"},{"above":false,"for_s":300.0,"limit":0.95,"metric":"forge:readiness_ratio:1m","name":"readiness success","track":"stable","unit":"ratio"}],"on_breach":"return_to_previous","steps":[{"image":{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},"kind":"deploy_workload","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"timeout_s":600.0,"title":"Deploy web","trouble_within_s":60.0},{"image":{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"},"kind":"deploy_workload","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"timeout_s":600.0,"title":"Deploy worker","trouble_within_s":60.0},{"attempts":3,"base_url":"http://shop.staging","kind":"smoke_test","on_fail":"procedure:return_to_previous","requests":[{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"liveness","optional":false,"path":"/health/live","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"readiness","optional":false,"path":"/health/ready","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"startup","optional":true,"path":"/health/startup","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":{"item":1},"body_contains":"","headers":{},"json_subset":{"ok":true},"method":"POST","name":"order","optional":false,"path":"/api/orders","statuses":[200],"timeout_s":5.0,"token":"shop-token"}],"retries":2,"retry_wait_s":5.0,"service":"shop","title":"Smoke tests","wait_s":2.0},{"acceptance":{"interval_s":1.0,"p95_s":0.25,"success_ratio":0.99,"timeout_s":2.0,"window_s":300.0},"base_url":"http://shop.staging","duration_s":30.0,"health":{"live":"/health/live","ready":"/health/ready","startup":"/health/startup"},"kind":"observe","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"service":"shop","smoke":[{"body":{"item":1},"body_contains":"","headers":{},"json_subset":{"ok":true},"method":"POST","name":"order","optional":false,"path":"/api/orders","statuses":[200],"timeout_s":5.0,"token":"shop-token"}],"smoke_every_s":30.0,"title":"Observe key metrics and health"},{"checks":[{"kind":"steady_state","max_error_ratio":0.01,"max_latency_p95_s":0.4,"min_requests":10,"service":"shop","window":"1m"}],"every_s":15.0,"kind":"gate","on_fail":"procedure:return_to_previous","patience_s":600.0,"retries":2,"retry_wait_s":5.0,"title":"Staging acceptance"},{"expires_s":86400.0,"kind":"approval","on_fail":"procedure:return_to_previous","purpose":"go","retries":2,"retry_wait_s":5.0,"roles":["product","service_owner"],"title":"Go or no-go"}]},{"kind":"record_decision","on_fail":"hold","result":"go","retries":2,"retry_wait_s":5.0,"title":"Record the result"},{"kind":"announce","moment":"completed","on_fail":"continue","retries":2,"retry_wait_s":5.0,"title":"Announce the result"}],"procedure":"staging","service":"shop","version":"v1.4.0-rc.2"}','95e0079dcee48728107ac2845feb3b91d42eb8f83f4a0c7e713439c762fc0657',0,'2026-03-02T12:00:00.000000+00:00',NULL);
CREATE TABLE steps (
        run TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        started_at TEXT,
        deadline TEXT,
        finished_at TEXT,
        outcome TEXT,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        verdicts TEXT,
        progress TEXT,
        escalation INTEGER NOT NULL,
        PRIMARY KEY (run, "index")
    );
INSERT INTO "steps" VALUES('staging-1',0,1,'gate','Release candidate','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc','[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"tag object","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","window_s":null},{"at":null,"limit":null,"name":"commit","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"cccccccccccccccccccccccccccccccccccccccc","window_s":null},{"at":null,"limit":null,"name":"signer","samples":null,"source":"","unit":"","value":"ann@example.com","window_s":null}],"gate":"candidate tag","outcome":"pass","reason":"v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"sha256:1111111111111111111111111111111111111111111111111111111111111111","name":"web","samples":null,"source":"registry.example/acme/web:v1.4.0-rc.2","unit":"","value":"sha256:1111111111111111111111111111111111111111111111111111111111111111","window_s":null},{"at":null,"limit":"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"worker","samples":null,"source":"registry.example/acme/worker:v1.4.0-rc.2","unit":"","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222","window_s":null}],"gate":"image digests","outcome":"pass","reason":"the images of web and worker still have the frozen digests","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',1,1,'gate','CI green','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','1 of 1 checks are green on cccccccccccc','[{"code":"ok","evidence":[{"at":null,"limit":1,"name":"green checks","samples":null,"source":"cccccccccccccccccccccccccccccccccccccccc","unit":"count","value":1,"window_s":null}],"gate":"CI green","outcome":"pass","reason":"1 of 1 checks are green on cccccccccccc","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',2,1,'gate','Workloads deployable','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','web has both probes and 2 replicas','[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"web","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"web has both probes and 2 replicas","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":null,"name":"worker","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"worker has both probes and 2 replicas","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',3,1,'approval','Deploy to staging','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','approval.granted','approved by Sam','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',4,1,'remember_images','Remember the images that run now','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','web runs registry.example/acme/old@sha256:0','[{"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/web","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"web runs registry.example/acme/old@sha256:0","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/worker","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"worker runs registry.example/acme/old@sha256:0","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',5,1,'deploy_workload','Deploy web','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','2 of 2 replicas are Available after 0 s','[{"code":"ok","evidence":[{"at":null,"limit":2,"name":"available","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null},{"at":null,"limit":2,"name":"updated","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null},{"at":null,"limit":600.0,"name":"elapsed","samples":null,"source":"","unit":"s","value":0.0,"window_s":null}],"gate":"rollout of web","outcome":"pass","reason":"2 of 2 replicas are Available after 0 s","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',6,1,'deploy_workload','Deploy worker','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','2 of 2 replicas are Available after 0 s','[{"code":"ok","evidence":[{"at":null,"limit":2,"name":"available","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null},{"at":null,"limit":2,"name":"updated","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null},{"at":null,"limit":600.0,"name":"elapsed","samples":null,"source":"","unit":"s","value":0.0,"window_s":null}],"gate":"rollout of worker","outcome":"pass","reason":"2 of 2 replicas are Available after 0 s","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',7,1,'smoke_test','Smoke tests','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.010000+00:00','pass','ok','GET /health/live answered 200 in 10 ms','[{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/live","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: liveness","outcome":"pass","reason":"GET /health/live answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/ready","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: readiness","outcome":"pass","reason":"GET /health/ready answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200 or 204","name":"status","samples":null,"source":"GET http://shop.staging/health/startup","unit":"","value":200,"window_s":null},{"at":null,"limit":2.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: startup","outcome":"pass","reason":"GET /health/startup answered 200 in 10 ms","remedy":""},{"code":"ok","evidence":[{"at":null,"limit":"200","name":"status","samples":null,"source":"POST http://shop.staging/api/orders","unit":"","value":200,"window_s":null},{"at":null,"limit":5.0,"name":"latency","samples":null,"source":"","unit":"s","value":0.01,"window_s":null}],"gate":"smoke: order","outcome":"pass","reason":"POST /api/orders answered 200 in 10 ms","remedy":""}]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',8,1,'observe','Observe key metrics and health','running',1,'2026-03-02T12:00:00.010000+00:00',NULL,NULL,NULL,'','','[]','{"observed_from":"2026-03-02T12:00:00.010000+00:00","smoke":{"due_tick":30,"failed_rounds":0,"failing":0,"requests":1,"rounds":1},"targets":{"/health/live":{"failed":0,"last_error":"","probes":12,"window":[10000,10000,10000,10000,10000,10000,10000,10000,10000,10000,10000,10000],"worst_p95_s":null,"worst_ratio":null},"/health/ready":{"failed":0,"last_error":"","probes":12,"window":[10000,10000,10000,10000,10000,10000,10000,10000,10000,10000,10000,10000],"worst_p95_s":null,"worst_ratio":null}},"ticks":12}',0);
INSERT INTO "steps" VALUES('staging-1',9,1,'gate','Staging acceptance','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',10,1,'approval','Go or no-go','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',11,1,'record_decision','Record the result','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
INSERT INTO "steps" VALUES('staging-1',12,1,'announce','Announce the result','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0);
CREATE INDEX runs_by_environment ON runs (environment, service, number);
CREATE INDEX runs_by_state ON runs (state);
CREATE INDEX steps_by_state ON steps (state);
CREATE INDEX clicks_by_step ON clicks (run, "index");
CREATE INDEX buttons_by_run ON buttons (run, "index");
CREATE INDEX received_by_done_at ON received (done_at);
CREATE INDEX outgoing_by_run ON outgoing (run);
CREATE INDEX outgoing_by_state ON outgoing (state, id);
CREATE INDEX outgoing_by_subject ON outgoing (subject, state);
CREATE INDEX posted_by_place ON posted (channel, ts);
CREATE INDEX posted_by_run ON posted (run);
CREATE INDEX decisions_by_version ON decisions (service, environment, version);
CREATE INDEX audit_by_subject ON audit (subject);
CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is deleted'); END;
CREATE TRIGGER audit_keeps_wording BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is changed'); END;
CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
    WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: entries follow one another'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('received',2);
INSERT INTO "sqlite_sequence" VALUES('outgoing',21);
INSERT INTO "sqlite_sequence" VALUES('clicks',1);
COMMIT;
